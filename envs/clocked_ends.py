"""Ends that only the clock made: episodes that all end when they have reached the horizon."""

from __future__ import annotations

import numpy as np

FEWEST = 20
"""Episodes that reached the horizon, from which on that all of them ended there is no coincidence."""
KNOWN = 0.9
"""Share of them of which it must be known what came after the last decision: of a cut that is not known, models learn
nothing, not even the last reward."""


def read_as_cut(
    terminated: np.ndarray, truncated: np.ndarray, end_known: np.ndarray, offsets: np.ndarray, horizon: int
) -> tuple[int, int]:
    """Mark ends at the horizon as truncations, in place, where every episode that reached it ended there.

    Nothing that an action did ended these episodes, and their return to the horizon is the same either way. Models,
    which know the state and not the step, would learn that any decision may be the last one. All decisions at the
    horizon change their mark or none: what is learned of ends is then of the earlier steps, whatever ended there.

    Args:
        terminated: bool (N,), changed where it is so.
        truncated: bool (N,), likewise.
        end_known: bool (E,), whether the observation after the last decision is known.
        offsets: int64 (E + 1,), where episodes begin.
        horizon: the declared one; of a single decision there is nothing to mark.

    Returns:
        How many ends were marked, and how many would have been if what came after them were known.
    """
    lengths, last = np.diff(offsets), offsets[1:] - 1
    reached = lengths == horizon
    count = int(reached.sum())
    if horizon < 2 or count < FEWEST or lengths.max() > horizon or not terminated[last[reached]].all():
        return 0, 0
    if end_known[reached].mean() < KNOWN:
        return 0, count
    terminated[last[reached]], truncated[last[reached]] = False, True
    return count, 0
