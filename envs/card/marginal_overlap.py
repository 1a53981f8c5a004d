"""How far a log reaches step by step: the reference policy's weights of state and action, not of whole episodes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from envs.behavior import unit_folds
from envs.card.history_tables import distinct_states
from envs.card.overlap import POWER, Overlap
from envs.dataset import EMBARGO, Dataset
from envs.marginal_ratios import MarginalRatios, with_ends

FOLDS = 2


def measure_marginal_overlap(
    dataset: Dataset, overlap: Overlap, ratios: np.ndarray, modal: np.ndarray
) -> Overlap | None:
    """The reference policy's figures at the step where its weights reach least; ``None`` without exact states.

    Only few and distinct observations can be counted as they are; cells of others are a model's, whose error
    no amount of data removes. The probabilities of all actions must be logged.

    Args:
        dataset: the log.
        overlap: the figures by whole episodes (:func:`envs.card.overlap.measure_overlap`).
        ratios: reference over behaviour probability of each logged action, float64 (N,).
        modal: distribution of the usual action, float64 (N, A).
    """
    states = distinct_states(dataset)
    if states is None or not np.isfinite(dataset.action_probabilities).all():
        return None
    horizon, kept = dataset.specification.horizon, dataset.splits != EMBARGO
    probabilities = 0.5 * dataset.action_probabilities + 0.5 * modal
    weights = np.zeros((dataset.episode_count, horizon))
    rewards, active = np.zeros_like(weights), np.zeros(weights.shape, dtype=bool)
    episode, steps, fold = dataset.episode_index, dataset.steps, unit_folds(dataset.units, FOLDS)
    within = steps < horizon
    for number in range(FOLDS):
        fit = MarginalRatios(dataset, states, kept & (fold != number), horizon=horizon)
        at = np.flatnonzero(within & (fold == number)[episode])
        table = fit.table(probabilities, ratios)
        weights[episode[at], steps[at]] = table[steps[at], states[dataset.rows[at]]] * ratios[at]
    rewards[episode[within], steps[within]] = dataset.rewards[within]
    active[episode[within], steps[within]] = True
    weights, rewards, active = with_ends(weights[kept], active[kept]), rewards[kept], active[kept]
    unit = np.unique(dataset.units[kept], return_inverse=True)[1]
    by_unit = np.stack([np.bincount(unit, weights=column) for column in weights.T])
    sizes = by_unit.sum(axis=1) ** 2 / (by_unit**2).sum(axis=1)
    thinnest = int(np.argmin(sizes))
    # The gain's influence on each step, by the weights alone: what a model of values would take out is still in it.
    centered = np.where(active, (weights - 1.0) * (rewards - rewards.mean(axis=0)), 0.0)
    gains = centered @ dataset.specification.discount ** np.arange(horizon)
    deviation = float((np.bincount(unit, weights=gains) / (len(gains) / overlap.units)).std())
    scale = abs(overlap.mean_return) * math.sqrt(overlap.final_units)
    return replace(
        overlap,
        effective=float(sizes[thinnest]),
        largest_share=float(by_unit[thinnest].max() / by_unit[thinnest].sum()),
        deviation=deviation,
        detectable=POWER * deviation / scale if scale > 0.0 and deviation > 0.0 else math.nan,
        weights=weights[:, thinnest],
    )
