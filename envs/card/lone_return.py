"""One episode that outweighs all others: a marker for "unknown" taken for a number, or a catastrophe seen once."""

from __future__ import annotations

import numpy as np

from envs.card.findings import Finding
from envs.card.overlap import episode_returns
from envs.dataset import Dataset

LEAST_SHARE = 0.5
LEAST_EPISODES = 40


def lone_return(dataset: Dataset) -> Finding | None:
    """An episode whose return makes up half the spread of all or more, as a sum of squares."""
    if dataset.episode_count < LEAST_EPISODES:
        return None
    returns = episode_returns(dataset)
    largest = float(np.abs(returns).max())
    if not 0.0 < largest < np.inf:
        return None
    scaled = returns / largest  # its square is finite
    squares = (scaled - np.median(scaled)) ** 2
    share = float(squares.max() / max(float(squares.sum()), 1e-300))
    if share < LEAST_SHARE:
        return None
    place = int(squares.argmax())
    position = int(dataset.sequences[place])
    return Finding(
        "lone_return",
        "warning",
        f"one of {dataset.episode_count:,} episodes (to position {position}) has a return of {returns[place]:.4g}, "
        f"which is {100 * share:.0f} % of what all returns spread",
        "every mean and interval hangs on whether it is there",
        f"if it is no true value, retrainer log exclude {dataset.specification.name} --from {position} --to "
        f"{position + 1}; if it is, log until there are more of its kind, and declare worst_class",
    )
