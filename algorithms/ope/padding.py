"""From a dataset's flat columns to padded trajectories."""

from __future__ import annotations

import numpy as np

from algorithms.ope.fitted_q_evaluation import return_bounds
from algorithms.ope.support import unsupported_probabilities
from algorithms.ope.trajectories import Trajectories
from envs.dataset import Dataset
from envs.errors import DataError
from envs.specification import INFORMATIVE


def pad(dataset: Dataset, values: np.ndarray, horizon: int) -> np.ndarray:
    """Values per decision (N, ...) as (E, H, ...): the first H of each episode, 0 after its end, dtype kept."""
    values = np.asarray(values)
    padded = np.zeros((dataset.episode_count, horizon, *values.shape[1:]), dtype=values.dtype)
    episode, step = dataset.episode_index, dataset.steps
    inside = step < horizon
    padded[episode[inside], step[inside]] = values[inside]
    return padded


def censored(dataset: Dataset, horizon: int | None = None) -> np.ndarray:
    """Episodes cut before the horizon without a termination, bool (E,): their return is not complete.

    Weighted returns of such episodes are too short, and the doubly robust estimator carries a model's value of what was
    cut off, which nothing corrects: see :mod:`algorithms.ope.unseen_rest` and :mod:`algorithms.ope.censoring`.
    """
    horizon = dataset.specification.horizon if horizon is None else horizon
    return (dataset.lengths < horizon) & ~dataset.terminated[dataset.offsets[1:] - 1]


def rest_bounds(dataset: Dataset, active: np.ndarray, discount: float) -> np.ndarray | None:
    """What follows the last of the ``active`` decisions (E, H) of cut episodes: (E, 2) of :class:`Trajectories`."""
    bounds, horizon = dataset.specification.declared_range, active.shape[1]
    cut = np.flatnonzero(censored(dataset, horizon))
    if dataset.specification.censoring != INFORMATIVE or bounds is None or not len(cut):
        return None
    rest = np.full((len(active), 2), np.nan)
    left = horizon - active[cut].sum(axis=1)
    for steps in np.unique(left):
        rest[cut[left == steps]] = return_bounds(bounds, int(steps), discount)
    return rest


def unbounded_rest(dataset: Dataset) -> str:
    """Why no gain can be told on these episodes: what followed a cut may have been anything; or ``""``."""
    specification = dataset.specification
    cut = int(censored(dataset).sum())
    if not cut or specification.censoring != INFORMATIVE or specification.declared_range is not None:
        return ""
    return (
        f"{cut:,} of {dataset.episode_count:,} episodes were cut before the horizon, and what followed may have been "
        'anything (declare reward_range, or censoring = "random" where episodes are cut by chance)'
    )


def trajectories_from(
    dataset: Dataset,
    target_probabilities: np.ndarray,
    *,
    horizon: int | None = None,
    discount: float | None = None,
    q: np.ndarray | None = None,
    v: np.ndarray | None = None,
    propensities: np.ndarray | None = None,
    state_log_ratios: np.ndarray | None = None,
    markov: bool = False,
    behavior: np.ndarray | None = None,
) -> Trajectories:
    """The dataset's episodes under a target policy.

    Args:
        dataset: the episodes to evaluate on.
        target_probabilities: float64 (N, A), the target at each decision, its floor included.
        horizon: H, the specification's by default; later decisions are not counted.
        discount: γ, the specification's by default.
        q: float64 (E, H), model value of the logged actions (:func:`algorithms.ope.cross_fitting.cross_fit`).
        v: float64 (E, H + 1), model value of the states.
        propensities: float64 (N,), known ones instead of the logged ones.
        state_log_ratios: float64 (E, H) (:func:`algorithms.ope.state_ratios.cross_fit_state_ratios`).
        markov: what the history test says (:attr:`envs.card.history.HistoryTest.shows_states`).
        behavior: float64 (N, A), the estimated probabilities of a log that has none
            (:func:`envs.untried.behavior_probabilities`): grade B.

    Raises:
        DataError: a propensity is missing or not in (0, 1], or shapes disagree.
    """
    specification = dataset.specification
    horizon = specification.horizon if horizon is None else horizon
    discount = specification.discount if discount is None else discount
    if behavior is not None:
        propensities = behavior[np.arange(len(dataset)), dataset.actions]
    behaviour = np.asarray(dataset.propensities if propensities is None else propensities, dtype=np.float64)
    if np.shape(target_probabilities) != (len(dataset), len(specification.actions)):
        raise DataError(
            f"target probabilities have shape {np.shape(target_probabilities)}, "
            f"the log has {len(dataset)} decisions of {len(specification.actions)} actions",
            where="trajectories_from",
            remedy="give one row per decision (dataset.rows), not per observation",
        )
    bad = ~((behaviour > 0) & (behaviour <= 1))
    if bad.any():
        raise DataError(
            f"{int(bad.sum())} of {len(dataset)} decisions have no propensity in (0, 1]",
            where="trajectories_from",
            remedy="log propensities (Agent with explore), or estimate them (grade B)",
        )
    target = np.asarray(target_probabilities, dtype=np.float64)[np.arange(len(dataset)), dataset.actions]
    with np.errstate(divide="ignore"):
        log_ratios = np.log(target) - np.log(behaviour)
    active = pad(dataset, np.ones(len(dataset), dtype=bool), horizon)
    rest, blind = rest_bounds(dataset, active, discount), censored(dataset, horizon) & ~dataset.end_known
    if q is not None and v is not None:
        expected = (dataset.episode_count, horizon)
        if q.shape != expected or v.shape != (expected[0], horizon + 1):
            raise DataError(
                f"model values have shapes {q.shape} and {v.shape}, expected {expected} and one column more",
                where="trajectories_from",
                remedy="fit them on this dataset with this horizon",
            )
        # Without the observation after it, a cut episode's last decision has no V̂(s'), and no correction by it.
        cut = np.flatnonzero(blind)
        last = dataset.lengths[cut] - 1
        if rest is None:
            active[cut, last] = False
        elif discount > 0.0:  # what its bounds allow stands there later; until then a value that corrects nothing
            v = v.copy()
            v[cut, last + 1] = (q[cut, last] - pad(dataset, dataset.rewards, horizon)[cut, last]) / discount
    if state_log_ratios is not None and state_log_ratios.shape != active.shape:
        raise DataError(
            f"state ratios have shape {state_log_ratios.shape}, expected {active.shape}",
            where="trajectories_from",
            remedy="fit them on this dataset with this horizon",
        )
    told = propensities is None or behavior is not None
    unsupported = unsupported_probabilities(dataset, target_probabilities, behavior) if told else None
    return Trajectories(
        rewards=np.where(active, pad(dataset, dataset.rewards, horizon), 0.0),
        log_ratios=np.where(active, pad(dataset, log_ratios, horizon), 0.0),
        active=active,
        discount=discount,
        q_values=None if q is None else np.where(active, q, 0.0),
        v_values=v,
        state_log_ratios=None if state_log_ratios is None else np.where(active, state_log_ratios, 0.0),
        markov=markov,
        rest=rest,
        blind=blind if q is not None and rest is not None and blind.any() else None,
        estimated=behavior is not None,
        unsupported=None if unsupported is None else pad(dataset, unsupported, horizon),
    )
