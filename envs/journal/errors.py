"""What can be wrong with a journal's file, by name."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from envs.errors import JournalError
from envs.journal.guard import FolderBusyError


class JournalLockedError(JournalError):
    """Another process held the journal for longer than one may wait. Nothing was written."""


class JournalFullError(JournalError):
    """The disk is full. Nothing was written."""


class JournalDamagedError(JournalError):
    """The file is damaged, or no journal."""


class DamagedContentError(Exception):
    """A row is not what was written: its checksum differs."""


DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


def is_busy(error: Exception) -> bool:
    """Whether it is another process that must be waited for."""
    return isinstance(error, FolderBusyError) or _name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def is_read_only(error: Exception) -> bool:
    """Whether the file was opened where it could only be read."""
    return _name(error).startswith("SQLITE_READONLY")


def is_damage(error: Exception) -> bool:
    """Whether the file is not what was written."""
    if isinstance(error, DamagedContentError) or _name(error).startswith(DAMAGED):
        return True
    return isinstance(error, sqlite3.OperationalError) and str(error).startswith("Could not decode")


def explained(error: Exception, path: Path, timeout: float) -> JournalError:
    """The user's side of an error of SQLite or of the system."""
    said = getattr(error, "strerror", None) or str(error)
    text = said.splitlines()[0] if said else type(error).__name__
    if is_busy(error):
        return locked(path, timeout)
    if is_damage(error):
        return JournalDamagedError(
            f"is damaged or not a journal ({text})", where=str(path), remedy="restore it from a backup"
        )
    if _name(error) == "SQLITE_FULL" or _is_full(path, error):
        return JournalFullError(
            "cannot grow, the disk is full", where=str(path), remedy="free some space and try again"
        )
    return JournalError(text, where=str(path), remedy="check the disk and the file's permissions")


def locked(path: Path, timeout: float) -> JournalLockedError:
    """Another process was waited for in vain."""
    problem = f"is locked by another process for more than {timeout:g} s"
    return JournalLockedError(problem, where=str(path), remedy="try again, or stop the process that holds it")


def _name(error: Exception) -> str:
    return str(getattr(error, "sqlite_errorname", "")) if isinstance(error, sqlite3.Error) else ""


def _is_full(path: Path, error: Exception) -> bool:
    """Shared memory that cannot be made, or a file that may not grow, is said to be a failure of the disk."""
    if not _name(error).startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN")) and getattr(error, "errno", 0) != 28:
        return False
    try:
        import shutil

        return shutil.disk_usage(path.parent).free < 1 << 16
    except OSError:
        return False
