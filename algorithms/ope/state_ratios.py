"""State ratios d^π_t / d^b_t for evaluation that were never fitted on the episodes they are applied to.

Reference: Kallus & Uehara (2020), Double reinforcement learning for efficient off-policy evaluation in
Markov decision processes, algorithm 1: cross-fitted, as the values are.
"""

from __future__ import annotations

import numpy as np

from algorithms.ope.cross_fitting import folds_of
from algorithms.ope.model_classes import evaluation_models
from algorithms.ope.padding import pad
from algorithms.ope.state_action_models import TabularModel
from envs.card.history_tables import distinct_states
from envs.dataset import Dataset
from envs.errors import DataError
from envs.marginal_ratios import STEP_SHRINKAGE, MarginalRatios


def ratio_states(dataset: Dataset, fitted: np.ndarray, *, seed: int = 0) -> TabularModel:
    """The states that ratios are counted in: the observations where they are few and distinct, else k-means cells.

    Cells are a model, and so is what they weigh: take values from another class (linear), which errs elsewhere.

    Args:
        dataset: all episodes.
        fitted: bool (E,), the episodes that cells are read from.
        seed: of the cells.

    Raises:
        DataError: there is no row to fit on.
    """
    states = distinct_states(dataset)
    if states is not None:
        return TabularModel(states, int(states.max()) + 1, len(dataset.specification.actions))
    models = evaluation_models(dataset, fitted, seed=seed).values()
    return next(model for model in models if isinstance(model, TabularModel))


def cross_fit_state_ratios(
    model: TabularModel,
    dataset: Dataset,
    probabilities: np.ndarray,
    *,
    evaluated: np.ndarray,
    always: np.ndarray | None = None,
    folds: int = 5,
    horizon: int | None = None,
    propensities: np.ndarray | None = None,
    shrinkage: float = STEP_SHRINKAGE,
    seed: int = 0,
) -> np.ndarray:
    """Log state ratios of P policies at the evaluated decisions, each from a fit that saw none of its unit.

    The folds are those of :func:`algorithms.ope.cross_fitting.cross_fit` for the same ``folds`` and ``seed``.

    Args:
        model: the states of all N + E observation rows.
        dataset: all episodes, those fitted on and those evaluated.
        probabilities: float64 (P, N + E, A), the policies at all rows, floors included.
        evaluated: bool (E,), the episodes to give ratios for.
        always: bool (E,), episodes that every fold is fitted on, less those that share a unit with it.
        folds: K; with ``folds=0`` the ratios are fitted on ``always`` alone.
        horizon: H, the specification's by default.
        propensities: float64 (N,), instead of the logged ones. They must be the behaviour at the decision's
            state: those of :func:`algorithms.ope.behavior_mixture.mixture_propensities` are not.
        shrinkage: κ (:class:`envs.marginal_ratios.MarginalRatios`).
        seed: of the deal.

    Returns:
        float64 (P, E', H) for the E' evaluated episodes in their order; 0 after an end and in states that
        the fit did not see, -inf where the policy never is.

    Raises:
        DataError: shapes disagree, or a fold has no episode to be fitted on.
    """
    horizon = dataset.specification.horizon if horizon is None else horizon
    evaluated = np.asarray(evaluated, dtype=bool)
    always = np.zeros_like(evaluated) if always is None else np.asarray(always, dtype=bool)
    if probabilities.ndim != 3 or probabilities.shape[1] != len(dataset.observations):
        raise DataError(
            f"probabilities have shape {probabilities.shape}, the dataset {len(dataset.observations)} observations",
            where="cross_fit_state_ratios",
            remedy="give a row for every observation, ends included",
        )
    behaviour = dataset.propensities if propensities is None else np.asarray(propensities, dtype=np.float64)
    chosen = np.flatnonzero(evaluated)
    subset = dataset.select_episodes(chosen)
    states = pad(subset, model.states[dataset.rows[evaluated[dataset.episode_index]]], horizon)
    active = pad(subset, np.ones(len(subset), dtype=bool), horizon)
    _, unit = np.unique(dataset.units, return_inverse=True)
    fold_of_unit = np.full(int(unit.max(initial=-1)) + 1, -1)
    fold_of_unit[unit[chosen]] = folds_of(dataset.units[chosen], max(folds, 1), seed)
    out = np.zeros((len(probabilities), len(chosen), horizon))
    for fold in range(max(folds, 1)):
        outside = fold_of_unit[unit] != fold
        fitted, applied = (always | (evaluated & (folds > 0))) & outside, ~outside[chosen]
        if not applied.any():
            continue
        if not fitted.any():
            raise DataError("no episode to fit on", where="cross_fit_state_ratios", remedy="give it more episodes")
        fit = MarginalRatios(
            dataset, model.states, fitted, horizon=horizon, shrinkage=shrinkage, action_shrinkage=model.shrinkage
        )
        for policy, of_rows in enumerate(probabilities):
            at_decisions = of_rows[dataset.rows]
            table = fit.table(at_decisions, at_decisions[np.arange(len(dataset)), dataset.actions] / behaviour)
            with np.errstate(divide="ignore"):
                logs = np.log(table[np.arange(horizon), states[applied]])
            out[policy, applied] = np.where(active[applied], logs, 0.0)
    return out
