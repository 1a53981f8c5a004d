"""The one interface between what is shared and the file system (or, later, an object store).

Keys are relative paths with forward slashes. Whoever creates a key first owns it: that single
guarantee is what ledgers and locks are built on.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

TEMPORARY = ".tmp-"


class Storage(Protocol):
    """What every shared place can do. All writes are durable when the call returns."""

    def create_if_absent(self, key: str, content: bytes) -> bool:
        """Write ``content`` under a new key; ``False``, and nothing changed, if the key exists."""

    def read(self, key: str) -> bytes:
        """The content of a key; :class:`FileNotFoundError` if there is none."""

    def list(self, prefix: str = "") -> list[str]:
        """All keys that start with ``prefix``, sorted."""

    def delete(self, key: str) -> None:
        """Remove a key; an absent key is no error."""

    def replace(self, key: str, content: bytes) -> None:
        """Write ``content`` under a key, new or not; readers see the old or the new, never a mixture."""


class LocalStorage:
    """A folder of the file system as :class:`Storage`.

    A write goes to a temporary file beside its target, is flushed to the disk, and only then gets
    its name, by a hard link (which fails where the name exists) or by an atomic rename.

    Args:
        root: the folder; created by the first write.
        mode: permission bits of new files.
    """

    def __init__(self, root: str | Path, mode: int = 0o644) -> None:
        self.root = Path(root)
        self.mode = mode

    def create_if_absent(self, key: str, content: bytes | Iterable[bytes]) -> bool:
        """See :class:`Storage`; the content may come piece by piece."""
        target = self._path(key)
        if os.path.lexists(target):
            return False
        temporary = self._write_temporary(target, content)
        try:
            os.link(temporary, target)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        synchronise_directory(target.parent)
        return True

    def read(self, key: str) -> bytes:
        """See :class:`Storage`."""
        return self._path(key).read_bytes()

    def list(self, prefix: str = "") -> list[str]:
        """See :class:`Storage`."""
        if ".." in prefix.split("/") or prefix.startswith("/"):
            raise ValueError(f"{prefix!r} is not the beginning of a storage key")
        found: list[str] = []
        start = self.root / prefix.rpartition("/")[0]
        for folder, _, files in os.walk(start):
            relative = Path(folder).relative_to(self.root)
            found += [(relative / file).as_posix() for file in files if not file.startswith(TEMPORARY)]
        return sorted(key for key in found if key.startswith(prefix))

    def delete(self, key: str) -> None:
        """See :class:`Storage`."""
        target = self._path(key)
        with contextlib.suppress(FileNotFoundError):
            target.unlink()
            synchronise_directory(target.parent)

    def replace(self, key: str, content: bytes) -> None:
        """See :class:`Storage`."""
        target = self._path(key)
        temporary = self._write_temporary(target, content)
        try:
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        synchronise_directory(target.parent)

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        unsafe = any(part in ("", ".", "..") or part.startswith(TEMPORARY) or "\0" in part for part in parts)
        if unsafe or (os.sep != "/" and os.sep in key):
            raise ValueError(f"{key!r} is not a storage key: give a relative path with forward slashes")
        return self.root.joinpath(*parts)

    def _write_temporary(self, target: Path, content: bytes | Iterable[bytes]) -> Path:
        make_directory(target.parent)
        temporary = target.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self.mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines([content] if isinstance(content, bytes) else content)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return temporary


def place(storage: Storage, key: str) -> str:
    """Where a key stands, for messages: the file where the storage is a folder, else the key."""
    return str(storage.root / key) if isinstance(storage, LocalStorage) else key


def make_directory(directory: Path) -> None:
    """Create a folder and its parents so that they survive a power loss."""
    missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        synchronise_directory(folder.parent)


def synchronise_directory(directory: Path) -> None:
    """Make a new name in ``directory`` survive a power loss (where the platform can)."""
    if os.name != "nt":
        synchronise_file(directory)


def synchronise_file(path: Path) -> None:
    """Make what was written to a file survive a power loss."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
