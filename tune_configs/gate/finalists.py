"""Who stands before the gate: at most five variants, chosen on ``select`` by the lower bound of their gain."""

from __future__ import annotations

from collections.abc import Sequence

from algorithms.ope.estimate import Estimate
from tune_configs.gate.request import MAXIMUM_FINALISTS


def finalists(gains: Sequence[Estimate]) -> tuple[int, ...]:
    """Indices of the usable gains above zero with the largest lower bounds, the best first, ties in their order.

    A variant that the log does not reach has no bound; one whose estimate is a loss would only take a share of α.
    """
    gaining = [index for index, gain in enumerate(gains) if gain.usable and gain.value > 0]
    return tuple(sorted(gaining, key=lambda index: -gains[index].lower)[:MAXIMUM_FINALISTS])
