"""How variants are searched for: what draws them, what ends those that promise little, and what a trial takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from envs.errors import SpecificationError
from tune_configs.training import ITERATIONS

SEARCHES = ("random", "tpe")
SCHEDULERS = ("none", "asha", "pbt")
PERTURBATION = 2
"""Iterations between two changes of a population."""
CHECKPOINTS: Mapping[str, tuple[int, ...]] = {
    "none": (1, 4, ITERATIONS),
    "asha": (1, 4, ITERATIONS),
    "pbt": (1, *range(PERTURBATION, ITERATIONS + 1, PERTURBATION)),
}
"""Iterations after which a policy is judged. Judging costs about as much as a small network's iteration, so that a few
stand for all; the first is among them, for Tune knows nothing of a trial before."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a sweep goes about it.

    Attributes:
        search: ``random`` draws everything before the first trial; ``tpe`` learns from the trials so far where to
            draw the next ones.
        scheduler: ``none`` trains every variant to its end; ``asha`` ends those early that do worst; ``pbt`` lets the
            worst of a population take over from the best and change its hyperparameters.
        resources: what one trial takes, by Ray's names (``CPU``, ``GPU``, ``memory``, your own).

    Raises:
        SpecificationError: an unknown name, two that do not go together, or an amount that is not above 0.
    """

    search: str = "random"
    scheduler: str = "none"
    resources: Mapping[str, float] = field(default_factory=lambda: {"CPU": 1.0})

    def __post_init__(self) -> None:
        for name, value, known in (("search", self.search, SEARCHES), ("scheduler", self.scheduler, SCHEDULERS)):
            if value not in known:
                raise SpecificationError(f"{value!r} is unknown", where=name, remedy=f"use one of {', '.join(known)}")
        if self.scheduler == "pbt" and self.search != "random":
            raise SpecificationError(
                f"a population does not go with {self.search}, it is searched by its own changes",
                where="scheduler",
                remedy="use pbt with the search random, or tpe with the scheduler none or asha",
            )
        for name, amount in self.resources.items():
            if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 < amount < float("inf"):
                raise SpecificationError(f"{name} is {amount!r}", where="resources", remedy="give an amount above 0")
        if "CPU" not in self.resources:
            object.__setattr__(self, "resources", {"CPU": 1.0, **self.resources})

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """Iterations after which policies are judged."""
        return CHECKPOINTS[self.scheduler]

    def to_json(self) -> dict[str, Any]:
        """The JSON form, which runs keep."""
        return {"search": self.search, "scheduler": self.scheduler, "resources": dict(self.resources)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Strategy:
        """The inverse of :meth:`to_json`."""
        return cls(str(data["search"]), str(data["scheduler"]), dict(data["resources"]))
