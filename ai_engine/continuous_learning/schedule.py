"""When a home's agents are retrained, and with what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from envs.errors import SpecificationError

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RetrainSchedule:
    """When and how :class:`~ai_engine.continuous_learning.LearningPipeline` retrains.

    Attributes:
        every: from the beginning of one pass over the agents to that of the next, a duration or seconds.
            A home that has had no pass yet gets its first one at once.
        check_every: seconds between two looks at whether a pass is due.
        agents: names of the agents; all that are declared or have records where ``None``.
        trials: variants to try of each agent; ``None`` leaves it to ``ai_engine.tune``.
        time_budget: seconds in all for the variants of one agent.
        batch_size: see :meth:`~ai_engine.retrain.ModelRetrainer.retrain_agent`.
        epochs: see there.
        seed: decides the variants drawn and every algorithm's seed.

    Raises:
        SpecificationError: a setting out of its range; names it.
    """

    every: timedelta | float = DAY
    check_every: float = 60.0
    agents: tuple[str, ...] | None = None
    trials: int | None = None
    time_budget: float | None = None
    batch_size: int | None = None
    epochs: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        wanted = "give names, or None for all"
        if isinstance(self.agents, str) or (self.agents is not None and not self.agents):
            raise SpecificationError(f"agents is {self.agents!r}", where="RetrainSchedule", remedy=wanted)
        if self.agents is not None:
            object.__setattr__(self, "agents", tuple(self.agents))
        for name, value, kinds in (
            ("every", self.seconds, (int, float)),
            ("check_every", self.check_every, (int, float)),
            ("trials", self.trials, (int, None)),
            ("time_budget", self.time_budget, (int, float, None)),
            ("batch_size", self.batch_size, (int, None)),
            ("epochs", self.epochs, (int, None)),
        ):
            if not (None in kinds if value is None else type(value) in kinds and 0 < value < float("inf")):
                remedy = f"give a {'' if float in kinds else 'whole '}number above 0"
                raise SpecificationError(f"{name} is {value!r}", where="RetrainSchedule", remedy=remedy)

    @property
    def seconds(self) -> float:
        """``every`` in seconds."""
        return self.every.total_seconds() if isinstance(self.every, timedelta) else self.every

    def to_json(self) -> dict[str, Any]:
        """One document; ``every`` in seconds."""
        return {**asdict(self), "every": self.seconds, "agents": None if self.agents is None else list(self.agents)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RetrainSchedule:
        """The inverse of :meth:`to_json`."""
        return cls(**{**data, "agents": None if data["agents"] is None else tuple(data["agents"])})
