"""Episodes that were cut before the horizon: weighted for, or bounded. They are censored, not ended.

Weighting: with λ_k the chance of being cut after decision k, and G_t = Π_{k<t} (1 - λ_k), the reward of
decision t is seen with probability G_t, so every weight of step t is divided by G_t and a cut episode's
weight is 0 from where it was cut. The sums of all weighted estimators are then those of the complete log.

Bounding: the rest of a cut episode is worth no less than the least, and no more than the most, that the
declared rewards can sum to. Where being cut says something about what would have followed (an incident
that has no end), weighting is wrong and the lower bound is what may be used.

References:
    Kaplan & Meier (1958), eq. 2b; Efron (1967), redistribution to the right; Robins & Rotnitzky (1992),
    inverse probability of censoring weights; Manski (1990), bounds without assumptions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from algorithms.ope.estimate import Estimate
from algorithms.ope.fitted_q_evaluation import return_bounds
from algorithms.ope.padding import censored, pad
from algorithms.ope.trajectories import Trajectories
from envs.behavior import unit_folds
from envs.dataset import Dataset
from envs.encoding.features import StandardFeatures
from envs.errors import DataError
from envs.logistic import fit_logistic, logistic_probabilities

CENSORED_BOUNDED = "rewards after a cut stay within the declared range"
METHODS = ("steps", "logistic")


def censoring_survival(
    dataset: Dataset, *, method: str = "logistic", horizon: int | None = None, folds: int = 5
) -> np.ndarray:
    """Chance 1 - λ of not being cut after each decision, given that the episode goes on, float64 (N,).

    1 where an episode cannot be cut: after a termination, and at the horizon's last decision.

    ``steps`` is Kaplan-Meier: of those that went on after step t, the share that was not cut; it is
    right where the cut does not depend on the state, and makes the weights of each step average to
    exactly 1. ``logistic`` adds state and action (and the state after it, where every one is known) by
    cross-fitted logistic regression: the chance of a row comes from other units than its own.

    Args:
        dataset: the log.
        method: ``steps`` or ``logistic``.
        horizon: H, the specification's by default.
        folds: of the cross-fitting.

    Raises:
        DataError: an unknown method, or a step after which everything was cut (nothing stands for it).
    """
    if method not in METHODS:
        raise DataError(f"{method!r} is no estimate of censoring", remedy=f"use one of {', '.join(METHODS)}")
    horizon = dataset.specification.horizon if horizon is None else horizon
    survival = np.ones(len(dataset))
    cut = np.zeros(len(dataset), dtype=bool)
    cut[dataset.offsets[1:] - 1] = censored(dataset, horizon)
    if not cut.any():
        return survival
    steps = dataset.steps
    risk = np.flatnonzero(~dataset.terminated & (steps + 1 < horizon))
    counts = np.bincount(steps[risk], minlength=horizon)
    cuts = np.bincount(steps[risk], weights=cut[risk], minlength=horizon)
    lost = np.flatnonzero((counts > 0) & (cuts == counts))
    if len(lost):
        raise DataError(
            f"every episode that went on after step {lost[0]} was cut there",
            where="censoring_survival",
            remedy=f"declare a horizon of {lost[0] + 1}, or use censoring bounds",
        )
    if method == "steps":
        survival[risk] = 1.0 - cuts[steps[risk]] / counts[steps[risk]]
        return survival
    features = _features(dataset, risk)
    fold = unit_folds(dataset.units, folds)[dataset.episode_index[risk]]
    both = np.ones((len(risk), 2), dtype=bool)
    for number in range(int(fold.max()) + 1):
        own, others = fold == number, fold != number
        # The chance at the step itself, so that a state that does not matter leaves Kaplan-Meier.
        seen = np.bincount(steps[risk][others], minlength=horizon) + 1.0
        struck = np.bincount(steps[risk][others], weights=cut[risk][others], minlength=horizon)
        chance = np.clip((struck + cut[risk][others].mean()) / seen, 1e-9, 1.0 - 1e-9)
        columns = np.hstack([features, np.log(chance / (1.0 - chance))[steps[risk]][:, None]])
        weights = fit_logistic(columns[others], cut[risk][others].astype(np.int64), both[others])
        survival[risk[own]] = logistic_probabilities(columns[own], weights, both[own])[:, 0]
    return survival


def censoring_weighted(dataset: Dataset, trajectories: Trajectories, survival: np.ndarray) -> Trajectories:
    """The trajectories with every weight divided by the chance of having been seen so far; as they are if none was cut.

    Where a model's values need the observation after a cut and it is not always known, the last decision
    of every cut episode weighs nothing, and the chance is charged at the decision itself; ``survival`` must
    then not depend on that observation (:func:`censoring_survival` sees to it).

    The intervals take ``survival`` as known; that it was estimated makes them no narrower than due.

    Args:
        dataset: the episodes, in the order of ``trajectories``.
        trajectories: of :func:`algorithms.ope.padding.trajectories_from`.
        survival: float64 (N,), in (0, 1] (:func:`censoring_survival`).

    Raises:
        DataError: shapes disagree, or a chance is not in (0, 1].
    """
    if survival.shape != (len(dataset),) or len(trajectories) != dataset.episode_count:
        raise DataError(
            f"{len(trajectories)} trajectories and {survival.shape} chances for {dataset.episode_count} episodes "
            f"of {len(dataset)} decisions",
            where="censoring_weighted",
            remedy="give those of one dataset",
        )
    if not np.all((survival > 0.0) & (survival <= 1.0)):
        raise DataError("a chance of being seen is not in (0, 1]", where="censoring_weighted", remedy="use bounds")
    horizon = trajectories.horizon
    cut = np.flatnonzero(censored(dataset, horizon))
    charge = pad(dataset, np.log(survival), horizon)
    first_unseen = dataset.lengths[cut]
    if trajectories.q_values is not None and not dataset.end_known[cut].all():
        first_unseen = first_unseen - 1
    else:
        charge = np.concatenate([np.zeros((len(charge), 1)), charge[:, :-1]], axis=1)
    log_ratios = trajectories.log_ratios - charge
    log_ratios[cut, first_unseen] = -np.inf
    return replace(trajectories, log_ratios=log_ratios, at_random=bool(len(cut)))


def bounded_ends(
    dataset: Dataset,
    chosen: np.ndarray | None = None,
    *,
    reward_range: tuple[float, float] | None = None,
    horizon: int | None = None,
    discount: float | None = None,
) -> tuple[Dataset, Dataset]:
    """The log in which cut episodes ended with the worst, and with the best, that they can have led to.

    The rest's value is added to the last logged reward and the episode counts as terminated there, so
    that every estimator (and every model fitted on it) takes it as it is. Combine with weighting by
    choosing the informative cuts alone: incidents without an end take the bound, the others a weight.

    Args:
        dataset: the log.
        chosen: bool (E,), which of the cut episodes to bound; all by default.
        reward_range: worst and best reward of a decision, the declared by default.
        horizon: H, the specification's by default.
        discount: γ, the specification's by default.

    Returns:
        The pessimistic and the optimistic log.

    Raises:
        DataError: no range is declared or given.
    """
    specification = dataset.specification
    horizon = specification.horizon if horizon is None else horizon
    discount = specification.discount if discount is None else discount
    reward_range = specification.reward_range if reward_range is None else reward_range
    if reward_range is None:
        raise DataError(
            "no declared range to bound a cut episode with",
            where=f"agent {specification.name}",
            remedy="declare reward_range",
        )
    cut = censored(dataset, horizon) & (True if chosen is None else np.asarray(chosen, dtype=bool))
    last = dataset.offsets[1:][cut] - 1
    left = horizon - dataset.lengths[cut]
    lengths = np.unique(left)
    terminated, truncated = dataset.terminated.copy(), dataset.truncated.copy()
    terminated[last], truncated[last] = True, False
    found = []
    for end in (0, 1):
        value = {int(steps): return_bounds(reward_range, int(steps), discount)[end] for steps in lengths}  # type: ignore[index]
        rewards = dataset.rewards.copy()
        rewards[last] += discount * np.array([value[int(steps)] for steps in left])
        found.append(replace(dataset, rewards=rewards, terminated=terminated, truncated=truncated))
    return found[0], found[1]


def censoring_bounds(low: Estimate, high: Estimate) -> Estimate:
    """One estimate from those on the pessimistic and on the optimistic log: the interval spans both.

    The value is the middle of what the log leaves open; ``lowest_value`` and ``highest_value`` in the
    diagnostics are its ends.

    Raises:
        DataError: the two are of different estimators or confidence.
    """
    if (low.estimator, low.confidence) != (high.estimator, high.confidence):
        raise DataError("the two estimates are of different kinds", remedy="use one estimator on both logs")
    return replace(
        low,
        value=0.5 * (low.value + high.value),
        lower=low.lower,
        upper=high.upper,
        refused=low.refused or high.refused,
        diagnostics=low.diagnostics | {"lowest_value": low.value, "highest_value": high.value},
        assumptions=(*low.assumptions, CENSORED_BOUNDED),
    )


def _features(dataset: Dataset, risk: np.ndarray) -> np.ndarray:
    """State, action and, where all are known, next state of the decisions ``risk``; float64 (n, F)."""
    rows, observation = dataset.observations, dataset.specification.observation
    encoder = StandardFeatures.fit(rows[dataset.rows], observation)
    columns = [
        np.nan_to_num(encoder.features(rows[dataset.rows[risk]])),
        np.eye(len(dataset.specification.actions))[dataset.actions[risk]],
    ]
    if dataset.next_known[risk].all():
        columns.append(np.nan_to_num(encoder.features(rows[dataset.rows[risk] + 1])))
    return np.hstack(columns)
