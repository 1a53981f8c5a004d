"""What a cycle, a rival and a gate of the public API did, and what it was truly worth.

Gains are in standard deviations of the first champion's return.
"""

from __future__ import annotations

from dataclasses import dataclass

from tune_configs.gate.request import PROMOTE

HARM = 5.0
"""How much more a step back weighs than a step forward that was missed."""


@dataclass(frozen=True)
class CycleRecord:
    """One cycle of one life.

    Attributes:
        family: of the world.
        life: which one.
        horizon: declared.
        cycle: from 0.
        grade: of the log.
        decision: the gate's.
        alpha: what it spent; 0 where no outcome of ``final`` was read.
        gain: true gain of what was promoted; 0 where nothing was.
        reached: true gain of the champion after the cycle over the first one.
        possible: the same of the best policy with the floor; NaN where nothing is to be found.
        confidence: of the gate's interval.
        covered: whether that holds the true gain of the policy that the gate speaks of; ``None``: it gave none, or
            said that the tail condition fails and the interval speaks only of what was logged.
        chosen_covered: whether the 95 % interval on ``select`` holds that of the first finalist; ``None``: none.
        oracle: whether a test with the true Q finds the best variant better; ``None``: none is.
    """

    family: str
    life: int
    horizon: int
    cycle: int
    grade: str
    decision: str
    alpha: float
    gain: float
    reached: float
    possible: float
    confidence: float
    covered: bool | None
    chosen_covered: bool | None
    oracle: bool | None

    @property
    def promoted(self) -> bool:
        """Whether the champion changed."""
        return self.decision == PROMOTE

    @property
    def false(self) -> bool:
        """Whether something was promoted that is not truly better."""
        return self.promoted and self.gain <= 0.0


@dataclass(frozen=True)
class RivalRecord:
    """What one chooser deployed of one log's variants.

    Attributes:
        log: family, life and cycle.
        family: of the world.
        rival: who chose; ``ours`` is the gate on the same log.
        deployed: whether anything was.
        gain: true gain of it; 0 where nothing was.
        best: true gain of the best variant, 0 where none is better.
    """

    log: str
    family: str
    rival: str
    deployed: bool
    gain: float
    best: float

    @property
    def false(self) -> bool:
        """Whether something was deployed that is not truly better."""
        return self.deployed and self.gain <= 0.0

    @property
    def regret(self) -> float:
        """What is lost to the best variant, a step back counting :data:`HARM` times."""
        return self.best - max(self.gain, 0.0) + HARM * max(-self.gain, 0.0)


@dataclass(frozen=True)
class PublicRecord:
    """One cycle through files and the public API.

    Attributes:
        family: of the world.
        cycle: from 0.
        decision: the gate's.
        alpha: what it spent.
        gain: true gain of what was promoted; 0 where nothing was.
    """

    family: str
    cycle: int
    decision: str
    alpha: float
    gain: float

    @property
    def false(self) -> bool:
        """Whether something was promoted that is not truly better."""
        return self.decision == PROMOTE and self.gain <= 0.0
