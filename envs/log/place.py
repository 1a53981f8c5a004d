"""Where a home's sealed table is: ``data/table``, or what ``[log] table`` of ``retrainer.toml`` names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from envs.errors import HomeError

if TYPE_CHECKING:
    from envs.home import Home

FOLDER = "table"
SEAL_ROWS = 100_000


def declared_table(home: Home) -> str:
    """The table that the home declares: relative to its ``data`` folder, or a URI such as ``s3://bucket/log``.

    Raises:
        HomeError: ``[log] table`` is no text.
    """
    found = _declared(home, "table", FOLDER)
    if not isinstance(found, str) or not found:
        raise _wrong(home, "table", f"{found!r} is no place", 'write table = "s3://bucket/path", or a folder')
    return found


def seal_rows(home: Home) -> int:
    """How many events a journal gathers before they are sealed; 0 where they never are by themselves.

    Raises:
        HomeError: ``[log] seal_rows`` is no whole number.
    """
    found = _declared(home, "seal_rows", SEAL_ROWS)
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise _wrong(home, "seal_rows", f"{found!r} is no number of events", "write a whole number, 0 for never")
    return found


def resolved(journal: Path, table: str) -> str:
    """The table's URI, of the place that a journal keeps."""
    return table if "://" in table else str((journal.parent / table).absolute())


def _declared(home: Home, key: str, default: Any) -> Any:
    section = home.document().get("log", {})
    if not isinstance(section, dict):
        raise _wrong(home, "", "is not a table", "write [log]")
    for name in section:
        if name not in ("table", "seal_rows"):
            raise _wrong(home, str(name), "is not a key of it", "known are table, seal_rows")
    return section.get(key, default)


def _wrong(home: Home, key: str, problem: str, remedy: str) -> HomeError:
    return HomeError(f"log{'.' * bool(key)}{key}: {problem}", where=str(home.configuration_path), remedy=remedy)
