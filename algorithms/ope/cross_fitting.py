"""Model values for evaluation that were never fitted on the episodes they are applied to.

Reference: Chernozhukov et al. (2018), Double/debiased machine learning, definition 3.2; folds by unit.
"""

from __future__ import annotations

import numpy as np

from algorithms.ope.fitted_q_evaluation import evaluate_at, sweep
from algorithms.ope.row_features import BLOCK
from algorithms.ope.state_action_models import StateActionModel, Transitions
from envs.dataset import Dataset
from envs.errors import DataError


def cross_fit(
    model: StateActionModel,
    dataset: Dataset,
    probabilities: np.ndarray,
    *,
    evaluated: np.ndarray,
    always: np.ndarray | None = None,
    folds: int = 5,
    horizon: int | None = None,
    discount: float | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Q̂ and V̂ of P policies on the evaluated episodes, each from a fit that saw none of its unit.

    Args:
        model: representation of all N + E observation rows of ``dataset``.
        dataset: all episodes, those fitted on and those evaluated.
        probabilities: float64 (P, N + E, A), the policies at all rows, floors included.
        evaluated: bool (E,), the episodes to value.
        always: bool (E,), episodes that every fold is fitted on (train, or train and select), less
            those that share a unit with the fold; none by default.
        folds: K, into which the units of the evaluated episodes are dealt; with ``folds=0`` the model
            is fitted on ``always`` alone, as for numbers on ``final``.
        horizon: H, the specification's by default.
        discount: γ, the specification's by default.
        seed: of the deal.

    Returns:
        q (P, E', H) and v (P, E', H + 1) for the E' evaluated episodes in their order, 0 after an
        end; after a truncation before H, v holds the value of the state it was cut at.

    Raises:
        DataError: shapes disagree, or a fold has nothing to be fitted on.
    """
    specification = dataset.specification
    horizon = specification.horizon if horizon is None else horizon
    discount = specification.discount if discount is None else discount
    evaluated = np.asarray(evaluated, dtype=bool)
    always = np.zeros_like(evaluated) if always is None else np.asarray(always, dtype=bool)
    if probabilities.ndim != 3 or probabilities.shape[1] != len(dataset.observations):
        raise DataError(
            f"probabilities have shape {probabilities.shape}, the dataset {len(dataset.observations)} observations",
            where="cross_fit",
            remedy="give a row for every observation, ends included",
        )
    chosen = np.flatnonzero(evaluated)
    position = np.full(dataset.episode_count, -1)
    position[chosen] = np.arange(len(chosen))
    _, unit = np.unique(dataset.units, return_inverse=True)
    fold_of_unit = _deal(unit[chosen], max(folds, 1), int(unit.max(initial=-1)) + 1, seed)
    q = np.zeros((len(probabilities), len(chosen), horizon))
    v = np.zeros((len(probabilities), len(chosen), horizon + 1))
    starts, lengths, bootstraps = dataset.offsets[:-1], dataset.lengths, _bootstraps(dataset, horizon)
    for fold in range(max(folds, 1)):
        outside = fold_of_unit[unit] != fold
        fitted = (always | (evaluated & (folds > 0))) & outside
        applied = evaluated & ~outside
        if not applied.any():
            continue
        for h, coefficients, bounds in sweep(
            model,
            _transitions(dataset, fitted),
            probabilities,
            horizon=horizon,
            discount=discount,
            reward_range=specification.reward_range,
        ):
            step = horizon - h
            # An end stands beside decisions: a row and a step, but no action.
            here = np.flatnonzero(applied & ((lengths > step) | (bootstraps & (lengths == step))))
            for start in range(0, len(here), BLOCK):
                index = here[start : start + BLOCK]
                decided = lengths[index] > step
                actions = dataset.actions[np.where(decided, starts[index] + step, 0)]
                rows = starts[index] + index + step
                q_h, v_h = evaluate_at(model, coefficients, bounds, rows, actions, probabilities[:, rows])
                v[:, position[index], step] = v_h
                q[:, position[index[decided]], step] = q_h[:, decided]
    return q, v


def folds_of(units: np.ndarray, folds: int, seed: int = 0) -> np.ndarray:
    """The fold, int64 (E',), from which :func:`cross_fit` keeps each of the evaluated episodes' own unit.

    Args:
        units: str (E',), units of the evaluated episodes.
        folds: K ≥ 1.
        seed: of the deal.
    """
    _, unit = np.unique(units, return_inverse=True)
    return _deal(unit, folds, int(unit.max(initial=-1)) + 1, seed)[unit]


def _transitions(dataset: Dataset, fitted: np.ndarray) -> Transitions:
    """What can be regressed on of the fitted episodes (E,)."""
    chosen = np.repeat(fitted, dataset.lengths)
    chosen &= dataset.terminated | dataset.next_known
    chosen = np.flatnonzero(chosen)
    rows = chosen + np.searchsorted(dataset.offsets, chosen, side="right") - 1
    return Transitions(rows, rows + 1, dataset.actions[chosen], dataset.rewards[chosen], ~dataset.terminated[chosen])


def _bootstraps(dataset: Dataset, horizon: int) -> np.ndarray:
    """Episodes whose value goes on after their last logged decision, bool (E,): cut early, end known."""
    return dataset.end_known & (dataset.lengths < horizon) & ~dataset.terminated[dataset.offsets[1:] - 1]


def _deal(units: np.ndarray, folds: int, count: int, seed: int) -> np.ndarray:
    """Fold of each of ``count`` units, int64; -1 for units that are not evaluated."""
    distinct = np.unique(units)
    fold = np.full(count, -1)
    fold[np.random.default_rng(seed).permutation(distinct)] = np.arange(len(distinct)) % folds
    return fold
