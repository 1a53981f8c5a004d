"""Does one observation always lead to the same action, where no propensity says so?"""

from __future__ import annotations

import numpy as np

from envs.dataset import Dataset
from envs.encoding.features import StandardFeatures

SAMPLE = 3000
# Pairs so much closer than the others that a rule with thresholds would nearly always agree.
CLOSEST = 0.1


def predictability(dataset: Dataset, behavior: np.ndarray) -> float:
    """The largest share of decisions that something could foretell, in [0, 1].

    Three witnesses, each of which alone may miss a deterministic rule: the cross-fitted behaviour
    estimate's most probable action; nearest neighbours of other units among the closest tenth of pairs
    (thresholds on several fields); and rows with equal observations.

    Args:
        dataset: the log.
        behavior: estimated probabilities, float64 (N, A).
    """
    foretold = float((behavior.argmax(axis=1) == dataset.actions).mean())
    return max(foretold, _neighbor_agreement(dataset), _repeat_agreement(dataset))


def _neighbor_agreement(dataset: Dataset) -> float:
    """Share of decisions that near neighbours foretell; 0 where too few pairs can be formed."""
    rows = dataset.observations[dataset.rows]
    chosen = np.arange(len(rows))[:: -(-len(rows) // SAMPLE)]
    features = StandardFeatures.fit(rows[chosen], dataset.specification.observation).features(rows[chosen])
    units = np.unique(dataset.units, return_inverse=True)[1][dataset.episode_index[chosen]]
    squares = (features**2).sum(axis=1)
    distance, neighbor = np.empty(len(chosen)), np.empty(len(chosen), dtype=np.int64)
    for start in range(0, len(chosen), 500):
        part = slice(start, start + 500)
        table = squares[part, None] - 2.0 * features[part] @ features.T + squares[None, :]
        table[units[part, None] == units[None, :]] = np.inf
        neighbor[part] = table.argmin(axis=1)
        distance[part] = table.min(axis=1)
    closest = np.argsort(distance, kind="stable")[: max(int(len(chosen) * CLOSEST), 1)]
    closest = closest[np.isfinite(distance[closest])]
    if len(closest) < 100:
        return 0.0
    actions = dataset.actions[chosen]
    agreement = float((actions[closest] == actions[neighbor[closest]]).mean())
    # Two draws differ twice as often as one differs from the usual action.
    return (1.0 + agreement) / 2.0


def _repeat_agreement(dataset: Dataset) -> float:
    """Share of the commonest action among rows with equal observations; 0 where few rows are repeated."""
    _, group = np.unique(dataset.observations[dataset.rows], axis=0, return_inverse=True)
    counts = np.zeros((int(group.max()) + 1, len(dataset.specification.actions)))
    np.add.at(counts, (group.ravel(), dataset.actions), 1.0)
    repeated = counts.sum(axis=1) > 1
    total = counts[repeated].sum()
    return float(counts[repeated].max(axis=1).sum() / total) if total >= 0.3 * len(dataset) else 0.0
