"""``history`` and ``verify``: an agent's ledger, read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ai_engine.deploy.ledger import LedgerEntry
from ai_engine.deploy.registry import Registry
from ai_engine.text import table
from envs.home import Home


@dataclass(frozen=True, slots=True)
class HistoryResult:
    """Every entry of an agent's ledger.

    Attributes:
        agent: the agent.
        entries: oldest first.
    """

    agent: str
    entries: tuple[LedgerEntry, ...]

    def to_json(self) -> dict[str, Any]:
        """One document."""
        return {"schema_version": 1, "agent": self.agent, "entries": [asdict(entry) for entry in self.entries]}

    def to_text(self) -> str:
        """A table and one sentence."""
        rows = [
            (str(entry.number), entry.timestamp[:19].replace("T", " "), entry.kind, entry.version, entry.said)
            for entry in self.entries
        ]
        sentence = f"The champion is {self.agent}@{self.entries[-1].version}."
        return f"{table(('', 'time (UTC)', 'kind', 'champion', 'reason'), rows)}\n{sentence}"


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """A ledger and artefacts that are as they were written.

    Attributes:
        agent: the agent.
        entries: number of ledger entries.
        versions: number of artefacts.
    """

    agent: str
    entries: int
    versions: int

    def to_json(self) -> dict[str, Any]:
        """One document."""
        return {"schema_version": 1, **asdict(self), "intact": True}

    def to_text(self) -> str:
        """One sentence."""
        return f"{self.agent} is intact: {self.entries} ledger entries and {self.versions} artefacts."


def history(name: str, *, home: Home | str | Path | None = None) -> HistoryResult:
    """Every decision about an agent's champion.

    Raises:
        RegistryError: the agent has no ledger.
    """
    return HistoryResult(name, tuple(Registry(Home.find(home)).history(name)))


def verify(name: str, *, home: Home | str | Path | None = None) -> VerifyResult:
    """Read an agent's ledger and artefacts again, and compare them with their hashes.

    Raises:
        RegistryError, ArtefactError: the first thing that is wrong; names the file.
    """
    registry = Registry(Home.find(home))
    return VerifyResult(name, registry.verify(name), len(registry.versions(name)))
