"""``init``, ``import`` and ``inspect``: a home, its logs, and what they can prove."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_engine.workspace import open_workspace
from envs.build import BuildReport
from envs.card import DataCard
from envs.home import CONFIGURATION, Home
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
    """Import JSON Lines and Parquet files into an agent's log; see :func:`envs.importing.importer.import_files`.

    A home that is named and not there yet is created when the rows have been found good, not before.
    """
    if home is None or isinstance(home, Home) or (Path(home) / CONFIGURATION).exists():
        found = Home.find(home)
        return import_files(found, name, files, dry_run=dry_run, keep_good=keep_good, unknown=unknown)
    with tempfile.TemporaryDirectory() as folder:
        # A rehearsal in a home of its own: bad rows raise here, and nothing appears at the named place.
        rehearsed = import_files(Home.create(folder), name, files, dry_run=True, unknown=unknown)
        if not dry_run and rehearsed.rejected and not keep_good:
            import_files(Home.create(folder), name, files, unknown=unknown)
    if dry_run:
        return rehearsed
    return import_files(Home.create(home), name, files, keep_good=keep_good, unknown=unknown)


def inspect(name: str, *, home: Home | str | Path | None = None) -> InspectResult:
    """What an agent's log can prove."""
    workspace = open_workspace(name, home)
    return InspectResult(name, workspace.card(), workspace.report)
