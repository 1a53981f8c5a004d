"""Does a field of the observation know what only came after acting?

What is known before acting cannot depend on the draw of the action, beyond what its probability says: given the
logged probabilities, the draw less its probability is a martingale difference, uncorrelated with every function of
the observation, however sticky the log. A ``confidence`` that was set when the outcome was known, a status, a
finishing time is correlated with it wherever the action has an effect. Where the actions' effect is too small, or no
probability is logged, a second witness speaks: a field that tells the reward whatever the action was and whatever
all else says, although nothing before foretells it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from envs.behavior import unit_folds
from envs.card.blocks import LEVEL
from envs.card.findings import Finding
from envs.card.propensities import Draws, draw_residuals, martingale_residual
from envs.dataset import Dataset
from envs.observation import ObservationField

LEAST_CORRELATION = 0.05
LEAST_TOLD = 0.9
"""Share of the reward's variance that a field must tell alone to be suspected."""
MOST_FORETOLD = 0.5
LEAST_UNITS = 50
BINS, FEW_BINS = 20, 6
MOST_AROUND = 16
MOST_SUSPECTS = 5
FOLDS = 5
SHRINKAGE = 20.0
"""Imagined decisions that told nothing, for each feature."""
MOST_DECISIONS = 10_000


def leaks(dataset: Dataset, foretelling: Mapping[str, float]) -> list[Finding]:
    """The fields that were set after acting, or may have been.

    Args:
        dataset: the log.
        foretelling: of :func:`foretelling_fields`, where the logged propensities could be true.
    """
    blind = "a policy that reads it is blind in production, and its value here is false"
    remedy = "take {} out of the observation, or record it as it was before acting"
    found = [
        Finding(
            "leaking_field",
            "error",
            f"{name} foretells which action was drawn beyond its propensity (z = {score:.1f})",
            f"it was set after the outcome: {blind}; or it was not, and the propensities are false",
            f"{remedy.format(name)}; if it was, log the probability of the draw",
        )
        for name, score in foretelling.items()
    ]
    for name, told in (_telling(_sample(dataset)) if _testable(dataset) else {}).items():
        if name not in foretelling:
            sentence = f"{name} alone tells {100 * told:.0f} % of the reward's variance, whatever the action"
            consequence = f"if it was set after the outcome, {blind}"
            found.append(Finding("leaking_field", "warning", sentence, consequence, remedy.format(name)))
    return found


def _testable(dataset: Dataset) -> bool:
    return len(dataset) >= LEAST_UNITS and dataset.specification.observation.kind != "int"


def _sample(dataset: Dataset) -> Dataset:
    if len(dataset) <= MOST_DECISIONS:
        return dataset
    return dataset.select_episodes(np.arange(0, dataset.episode_count, -(-len(dataset) // MOST_DECISIONS)))


def foretelling_fields(dataset: Dataset) -> dict[str, float]:
    """Fields that know the draw of the action beyond its logged propensity, with the score z of each.

    Such a field was set after the draw, or the propensity is not that of the draw: the same numbers speak for both.
    The plainest comes first; it is left out when the others are asked.
    """
    if not _testable(dataset):
        return {}
    dataset = _sample(dataset)
    draws = draw_residuals(dataset)
    if draws is None:
        return {}
    observation, rows = dataset.specification.observation, dataset.observations[dataset.rows]
    bins = [_indicators(_bins(values, FEW_BINS)) for values in rows.T]
    levels = [_level(declared, values, bins[at]) for at, (declared, values) in enumerate(_columns(dataset))]
    fold = unit_folds(dataset.units, FOLDS)[dataset.episode_index]
    found: dict[str, float] = {}
    read = max(int(draws.residuals.any(axis=1).sum()), 1)
    left = [at for at in range(observation.size) if bins[at].shape[1] > 1]

    def scores_of(fields: list[int]) -> dict[int, float]:
        return {at: _score(bins[at], [levels[k] for k in fields if k != at], draws, fold) for at in fields}

    def rare(score: float, tests: int) -> bool:
        return tests * NormalDist().cdf(-score) < LEVEL

    while left:
        scores = scores_of(left)
        suspects = sorted(left, key=lambda at: -scores[at])[:MOST_SUSPECTS]
        highest = scores[suspects[0]]
        effect = highest / math.sqrt(read)
        if not rare(highest, len(left)) or effect < LEAST_CORRELATION:
            break
        # With a leaking field around it any other one knows the draw too: the leak is what the rest is clean without.
        without = {at: max(scores_of([k for k in left if k != at]).values(), default=0.0) for at in suspects}
        # Where the draw takes two to be known, the one that tells more of the reward is the one that came after it.
        cleaning = [at for at in suspects if not rare(without[at], len(left))] or [
            min(suspects, key=without.__getitem__)
        ]
        worst = max(cleaning, key=lambda at: _explained(bins[at], dataset.rewards, fold % 2))
        found[observation.names[worst]] = highest
        left.remove(worst)
    return found


def excusing_fields(dataset: Dataset, limit: float) -> tuple[str, ...]:
    """Fields without which the logged propensities hold, plainest first; none where they are false without them too.

    Where the taken action's propensity alone is logged, what is likely is read off states that look alike. A field
    that was set after acting makes the draw part of the state.

    Args:
        dataset: the log.
        limit: from which :func:`~envs.card.propensities.martingale_residual` on propensities are false.
    """

    def excused(names: Sequence[str]) -> bool:
        return not martingale_residual(_without(dataset, names)) >= limit

    names: list[str] = []
    for name in foretelling_fields(dataset):
        names.append(name)
        if excused(names):
            for other in names[:-1]:  # it may know the draw by way of the last one alone
                if excused(fewer := [kept for kept in names if kept != other]):
                    names = fewer
            return tuple(names)
    return ()


def _without(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The log with the same value of those fields everywhere."""
    observations = dataset.observations.copy()
    observations[:, [dataset.specification.observation.names.index(name) for name in names]] = 0.0
    return replace(dataset, observations=observations)


def _score(own: np.ndarray, others: list[np.ndarray], draws: Draws, fold: np.ndarray) -> float:
    """What a field tells of the draws, learned on some units and seen on others: z, above 0.

    What it tells may depend on the others: a good outcome speaks for one action here and for another one there.
    Where rare actions had a chance that did not come, what came varies too little: chance moves it further.
    """
    around = np.concatenate([np.ones((len(own), 1)), *others], axis=1)[:, :MOST_AROUND]
    features = (own[:, :, None] * around[:, None, :]).reshape(len(own), -1)
    speaks = np.zeros_like(draws.residuals)
    for number in range(1, FOLDS):
        # From the units before only: two units that tell each other are one coincidence counted twice.
        before, inside = fold < number, fold == number
        learned = _fit(features[before], draws.residuals[before], penalty=SHRINKAGE)
        speaks[inside] = features[inside] @ learned
    told = (speaks * draws.residuals).sum(axis=1)
    return float(told.sum() / math.sqrt(max(float((told**2).sum()), draws.variance(speaks), 1e-300)))


def _columns(dataset: Dataset) -> Iterator[tuple[ObservationField, np.ndarray]]:
    rows = dataset.observations[dataset.rows]
    yield from zip(dataset.specification.observation.fields, rows.T, strict=True)


def _level(declared: ObservationField, values: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """A field as what surrounds another one: its indicators where it is a name, else its rank in [-1, 1]."""
    if declared.type in ("boolean", "category"):
        return bins
    known = np.sort(values[~np.isnan(values)])
    if not len(known):
        return np.zeros((len(values), 0))
    rank = (np.searchsorted(known, values) + np.searchsorted(known, values, side="right")) / len(known) - 1.0
    return np.where(np.isnan(values), 0.0, rank)[:, None]


def _telling(dataset: Dataset) -> dict[str, float]:
    """Fields that alone tell nearly all of the reward, which nothing else tells; with the share that they do."""
    observation, rows = dataset.specification.observation, dataset.observations[dataset.rows]
    rewards, names = dataset.rewards, np.unique(dataset.units)
    if len(names) < LEAST_UNITS or not np.ptp(rewards):
        return {}
    binned = [_bins(values) for values in rows.T]
    fold = unit_folds(dataset.units, 2)[dataset.episode_index]
    found: dict[str, float] = {}
    for column, declared in enumerate(observation.fields):
        codes = _indicators(binned[column])
        told = _explained(codes, rewards, fold)
        if told < LEAST_TOLD:
            continue
        action = np.eye(len(dataset.specification.actions))[dataset.actions]
        others = [_indicators(item) for place, item in enumerate(binned) if place != column]
        else_told = _explained(np.concatenate([action, *others], axis=1), rewards, fold)
        # Nor may what was before foretell it: a queue tells the cost of waiting, but it was there before.
        past = np.concatenate([codes[:-1], action[:-1]], axis=1)
        inside = dataset.steps[1:] > 0
        foretold = 0.0
        if inside.sum() >= LEAST_UNITS:
            foretold = _explained(past[inside], rewards[1:][inside], fold[1:][inside])
        if max(else_told, foretold) <= MOST_FORETOLD and _agree(codes, rewards, dataset):
            found[declared.name] = told
    return found


def _agree(codes: np.ndarray, rewards: np.ndarray, dataset: Dataset) -> bool:
    """Whether what the field tells agrees with the reward unit by unit, p < LEVEL (Fisher's z)."""
    unit = np.unique(dataset.units, return_inverse=True)[1][dataset.episode_index]
    counts = np.bincount(unit)
    fitted = codes @ _fit(codes, rewards)
    means = [np.bincount(unit, weights=values) / counts for values in (fitted, rewards)]
    if min(float(np.std(values)) for values in means) <= 0.0:
        return False
    correlation = float(np.asarray(np.corrcoef(means))[0, 1])
    score = math.atanh(min(correlation, 1.0 - 1e-12)) * math.sqrt(len(counts) - 3)
    return NormalDist().cdf(-score) < LEVEL


def _explained(features: np.ndarray, rewards: np.ndarray, fold: np.ndarray) -> float:
    """Share of variance that a linear fit on the other half of the units explains."""
    left = np.empty(len(rewards))
    for number in range(2):
        own = fold == number
        if own.all() or not own.any():
            return 0.0
        left[own] = rewards[own] - features[own] @ _fit(features[~own], rewards[~own])
    return max(1.0 - float(left.var()) / max(float(rewards.var()), 1e-300), 0.0)


def _fit(features: np.ndarray, targets: np.ndarray, penalty: float = 1e-3) -> np.ndarray:
    gram = features.T @ features
    gram[np.diag_indices_from(gram)] += penalty
    return np.asarray(np.linalg.solve(gram, features.T @ targets))


def _bins(values: np.ndarray, count: int = BINS) -> np.ndarray:
    """Which of so many quantile ranges each value is in, int64 (N,); a missing one is in one of its own."""
    known = values[~np.isnan(values)]
    cuts = np.unique(np.quantile(known, np.linspace(0.0, 1.0, count + 1)[1:-1])) if len(known) else np.empty(0)
    return np.where(np.isnan(values), len(cuts) + 1, np.searchsorted(cuts, values, side="right"))


def _indicators(codes: np.ndarray) -> np.ndarray:
    return np.eye(int(codes.max(initial=0)) + 1)[codes]
