"""A gate's answer for people and for programs; a pass or a canary names the command that comes next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class GateShown:
    """A gate's answer.

    Attributes:
        result: a :class:`~ai_engine.gate_result.GateResult`.
        home: the folder that was named, or ``None``.
    """

    result: Any
    home: str | None

    def to_json(self) -> dict[str, Any]:
        """The answer's own document."""
        document: dict[str, Any] = self.result.to_json()
        return document

    def to_text(self) -> str:
        """The answer, and what follows a pass or may follow a canary."""
        from ai_engine.deciding import next_command  # loads what a command line without a gate does not need

        text = str(self.result.to_text())
        if self.result.decision not in ("promote", "canary"):
            return text
        return f"{text}\nnext: {next_command(self.result, self.home)}"


def shown(result: Any, home: str | None) -> GateShown:
    """The answer in this form."""
    return GateShown(result, home)
