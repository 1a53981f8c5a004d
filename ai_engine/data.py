"""``init``, ``import`` and ``inspect``: a home, its logs, and what they can prove."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_engine.import_result import ImportResult
from ai_engine.reports.card_page import write_card
from ai_engine.workspace import open_workspace
from envs.build_report import BuildReport
from envs.card import DataCard
from envs.card.portrait import portray
from envs.errors import MissingExtraError
from envs.home import CONFIGURATION, Home
from envs.importing.importer import import_files


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
    """A log's card and what is not in its dataset.

    Attributes:
        agent: whose log.
        card: its card.
        report: what is not in the dataset, and why.
        page: the card as a page with plots; ``None`` where none was written.
        problem: why there is none although one was wanted, or empty.
    """

    agent: str
    card: DataCard
    report: BuildReport
    page: Path | None = None
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """One document."""
        return {
            "schema_version": 1,
            "agent": self.agent,
            "card": self.card.to_json(),
            "build": self.report.to_json(),
            "page": None if self.page is None else str(self.page),
        }

    def to_text(self) -> str:
        """The card, and where its page is."""
        place = f"\n  page: {self.page}" if self.page else f"\n  no page: {self.problem}" if self.problem else ""
        return self.card.to_text() + place


def init(path: str | Path = ".") -> InitResult:
    """Create a home where there is none; one that is there is left as it is."""
    return InitResult(Home.create(path).path)


def import_log(
    name: str,
    sources: Sequence[Any],
    *,
    home: Home | str | Path | None = None,
    dry_run: bool = False,
    keep_good: bool = False,
    unknown: str = "error",
    format: str = "",
    format_options: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] | None = None,
) -> ImportResult:
    """Import files or frames into an agent's log; see :func:`envs.importing.importer.import_files`.

    A home that is named and not there yet is created, and is there afterwards only if the rows were good.

    Args:
        name: the agent.
        sources: paths, patterns such as ``logs/*.jsonl``, ``s3://`` addresses, or pandas, Polars and pyarrow frames.
        home: the home.
        dry_run: write nothing; report every cause of an error, and a mapping.
        keep_good: import the good rows and list the bad ones in a file.
        unknown: ``error`` refuses foreign fields, ``metadata`` keeps them, unlearned.
        format: of the sources; found out by default.
        format_options: of the format, by name.
        progress: is told rows, rows a second and the time left.
    """

    def run(place: Home) -> ImportResult:
        report = import_files(
            place,
            name,
            [sources] if isinstance(sources, (str, Path)) or hasattr(sources, "columns") else list(sources),
            dry_run=dry_run,
            keep_good=keep_good,
            unknown=unknown,
            format_name=format,
            options=format_options,
            progress=None if progress is None else lambda moment: progress(str(moment)),
        )
        return ImportResult.of(report)

    if home is None or isinstance(home, Home) or (Path(home) / CONFIGURATION).exists():
        return run(Home.find(home))
    if dry_run:
        with tempfile.TemporaryDirectory() as folder:
            return run(Home.create(folder))
    before = _entries(Path(home))
    try:
        return run(Home.create(home))
    except Exception:
        _remove_since(Path(home), before)
        raise


def _entries(folder: Path) -> set[Path] | None:
    """What is in a folder; ``None`` where it is not there."""
    return set(folder.iterdir()) if folder.is_dir() else None


def _remove_since(folder: Path, before: set[Path] | None) -> None:
    """Undo the creation of a home."""
    for entry in (_entries(folder) or set()) - (before or set()):
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    if before is None and folder.is_dir():
        folder.rmdir()


def inspect(
    name: str, *, home: Home | str | Path | None = None, page: str | Path | bool | None = None
) -> InspectResult:
    """What an agent's log can prove: its data card, also as one self-contained page.

    Args:
        name: the agent.
        home: the home.
        page: where to write the page; ``reports/NAME-data.html`` in the home by default, nowhere for ``False``.

    Raises:
        HomeError, SpecificationError, DataError: no home, an undeclared agent, or no records.
    """
    workspace = open_workspace(name, home)
    card, report = workspace.card(), workspace.report
    if page is False:
        return InspectResult(name, card, report)
    path = workspace.home.path / "reports" / f"{name}-data.html" if page is None or page is True else Path(page)
    try:
        write_card(card, report, portray(workspace.dataset, card.findings), path)
    except (OSError, MissingExtraError) as error:  # the card is the answer; its page is a convenience
        return InspectResult(name, card, report, problem=str(error))
    return InspectResult(name, card, report, path)
