"""What retraining an agent gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from algorithms.policy.provenance import plain_json

REFUSED, FAILED = "refused", "failed"


@dataclass(frozen=True, slots=True)
class RetrainResult:
    """One retraining of one agent.

    Attributes:
        agent: the agent.
        decision: the gate's ``promote``, ``canary``, ``keep``, ``inconclusive`` or ``refused``; ``refused``
            also where there were too little data to train, ``failed`` where an error stopped it.
        promoted: whether the champion moved.
        reasons: why, a sentence each.
        version: ``agent@N`` that the gate spoke of, empty where there was none.
        champion: ``agent@N`` in charge now, empty where there is none yet.
        run: the sweep's name, empty where there was none.
        statistics: data, sweep, gate and training in figures.
    """

    agent: str
    decision: str
    promoted: bool
    reasons: tuple[str, ...]
    version: str = ""
    champion: str = ""
    run: str = ""
    statistics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def refused(self) -> bool:
        """Whether there was too little to go on, before training or at the gate."""
        return self.decision == REFUSED

    @property
    def failed(self) -> bool:
        """Whether an error stopped it."""
        return self.decision == FAILED

    def to_json(self) -> dict[str, Any]:
        """One document; figures that are not finite are null."""
        document = {name: getattr(self, name) for name in self.__slots__}
        plain: dict[str, Any] = plain_json({"schema_version": 1, **document})
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RetrainResult:
        """The inverse of :meth:`to_json`, as far as JSON keeps what it was given."""
        fields = {name: data[name] for name in cls.__slots__}
        return cls(**{**fields, "reasons": tuple(data["reasons"])})

    def to_text(self) -> str:
        """One sentence."""
        moved = f"the champion is now {self.champion}" if self.promoted else "the champion stays"
        of = f" of {self.version}" if self.version else ""
        return f"{self.agent}: {self.decision}{of}, {moved} ({'; '.join(self.reasons)})."
