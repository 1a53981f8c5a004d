"""``init``, ``import`` and ``inspect``: a home, its logs, and what they can prove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_engine.workspace import open_workspace
from envs.build import BuildReport
from envs.card import DataCard
from envs.home import Home
from envs.importing.importer import ImportReport, import_files


@dataclass(frozen=True, slots=True)
class InitResult:
    """A home."""

    path: Path

    def to_json(self) -> dict[str, Any]:
        """One document."""
        return {"schema_version": 1, "home": str(self.path)}

    def to_text(self) -> str:
        """One sentence."""
        return f"The home is {self.path}; declare agents in {self.path / 'retrainer.toml'}, or import a log."


@dataclass(frozen=True, slots=True)
class InspectResult:
    """A log's card and what is not in its dataset."""

    agent: str
    card: DataCard
    report: BuildReport

    def to_json(self) -> dict[str, Any]:
        """One document."""
        return {"schema_version": 1, "agent": self.agent, "card": self.card.to_json(), "build": self.report.to_json()}

    def to_text(self) -> str:
        """The card."""
        return self.card.to_text()


def init(path: str | Path = ".") -> InitResult:
    """Create a home where there is none; one that is there is left as it is."""
    return InitResult(Home.create(path).path)


def import_log(
    name: str,
    files: Sequence[str | Path],
    *,
    home: Home | str | Path | None = None,
    dry_run: bool = False,
    keep_good: bool = False,
    unknown: str = "error",
) -> ImportReport:
    """Import JSON Lines and Parquet files into an agent's log; see :func:`envs.importing.import_files`."""
    found = Home.find(home, create=home is not None)
    return import_files(found, name, files, dry_run=dry_run, keep_good=keep_good, unknown=unknown)


def inspect(name: str, *, home: Home | str | Path | None = None) -> InspectResult:
    """What an agent's log can prove."""
    workspace = open_workspace(name, home)
    return InspectResult(name, workspace.card(), workspace.report)
