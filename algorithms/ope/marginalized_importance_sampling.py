"""Marginalised importance sampling: each reward is weighted by its state's and its action's ratio alone.

    v̂ = (1/E) Σ_i Σ_t γᵗ w_t(s_it) ρ_it r_it,   w_t = d^π_t / d^b_t,   ρ = π / b

A product of t ratios is replaced by its mean given the state, which does not grow with the horizon.

Reference: Xie, Ma & Wang (2019), Towards optimal off-policy evaluation for reinforcement learning with
marginalized importance sampling, eq. 3.2; Liu, Li, Tang & Zhou (2018) for the stationary case.
"""

from __future__ import annotations

import numpy as np

from algorithms.ope._assembly import INDEPENDENT_UNITS, KNOWN_PROPENSITIES, assemble
from algorithms.ope.estimate import Estimate
from algorithms.ope.intervals import unit_log_weights
from algorithms.ope.overlap import WEIGHTED_RULE, OverlapRule, effective_sample_size
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError
from envs.marginal_ratios import with_ends

MARKOV = "states hold all that matters (Markov)"


def marginal_log_weights(trajectories: Trajectories, where: str = "marginal_log_weights") -> np.ndarray:
    """log w_t ρ_t of each decision, float64 (E, H); -inf after a unit's end.

    Raises:
        DataError: the trajectories carry no state ratios.
    """
    if trajectories.state_log_ratios is None:
        raise DataError("no state ratios", where=where, remedy="fit them first (cross_fit_state_ratios)")
    return np.where(trajectories.active, trajectories.state_log_ratios + trajectories.log_ratios, -np.inf)


def marginal_weights(trajectories: Trajectories, where: str = "marginal_weights") -> np.ndarray:
    """w_t ρ_t of each decision, float64 (E, H); 0 after a unit's end.

    Raises:
        DataError: the trajectories carry no state ratios.
    """
    return np.exp(marginal_log_weights(trajectories, where))


def thinnest_step(trajectories: Trajectories, units: np.ndarray | None = None) -> tuple[int, np.ndarray]:
    """The step with the smallest effective number of units, and the log weights (E,) there.

    Episodes that have ended count with their share (:func:`envs.marginal_ratios.with_ends`).

    Raises:
        DataError: the trajectories carry no state ratios.
    """
    logs, active = marginal_log_weights(trajectories, "thinnest_step"), trajectories.active
    with np.errstate(divide="ignore", over="ignore"):
        logs = np.where(active, logs, np.log(with_ends(np.exp(logs), active)))
    sizes = [effective_sample_size(unit_log_weights(column, units)) for column in logs.T]
    step = int(np.argmin(sizes))
    return step, logs[:, step]


def marginalized_importance_sampling(
    trajectories: Trajectories,
    confidence: float = 0.95,
    *,
    force: bool = False,
    overlap: OverlapRule = WEIGHTED_RULE,
    units: np.ndarray | None = None,
) -> Estimate:
    """The value by marginal weights; its evidence is ``model``, so no gate promotes by it.

    The state ratios are a model's, and nothing corrects them: their error is the estimate's, and the
    interval takes them as exact. The effective sample size is that of the step where it is smallest.

    Args:
        trajectories: with ``state_log_ratios`` fitted on other episodes; models of values are not read.
        confidence: coverage of the two-sided interval, were the ratios exact.
        force: give the numbers although the overlap is refused; the reason stays.
        overlap: smallest overlap that is answered.
        units: independent unit of each episode (E,), ``None`` where it is the episode.

    Raises:
        DataError: the trajectories carry no state ratios, or there is no episode.
    """
    name = "marginalized_importance_sampling"
    weights = marginal_weights(trajectories, name)
    return assemble(
        name,
        (weights * trajectories.rewards) @ trajectories.discounts,
        trajectories,
        confidence=confidence,
        force=force,
        overlap=overlap,
        units=units,
        evidence="model",
        assumptions=(INDEPENDENT_UNITS, KNOWN_PROPENSITIES, MARKOV, "the state ratios are exact"),
        log_weights=thinnest_step(trajectories, units)[1] if len(trajectories) else None,
    )
