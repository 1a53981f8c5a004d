"""The bytes of a source: a local file, or an object of an ``s3://`` store, opened to be read from anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from envs.errors import DataError, MissingExtraError

# gzip, zip, bzip2, xz, zstandard
COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zX", b"\x28\xb5\x2f\xfd")
BUFFER = 1024 * 1024  # bytes of one request to a store
STORES = ("s3://", "s3a://")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file that is there and is not compressed. Use :func:`source_file`.

    Attributes:
        name: as the user named it.
        size: bytes.
        identity: changes where the content does: size and time of modification.
        opening: the first four bytes.
        open: opens it as a binary stream that can be read anywhere.
    """

    name: str
    size: int
    identity: str
    opening: bytes
    open: Callable[[], Any]


def is_stored(name: str) -> bool:
    """Whether a source is in an object store."""
    return name.startswith(STORES)


def source_file(name: str | Path) -> SourceFile:
    """The file of a name.

    Raises:
        DataError: it is not there, is a folder, cannot be read or is compressed.
        MissingExtraError: an object store needs pyarrow.
    """
    text = str(name)
    try:
        found = _stored(text) if is_stored(text) else _local(text)
    except OSError as error:
        raise unreadable(text, error) from error
    if found.opening.startswith(COMPRESSED):
        raise DataError("is compressed", where=text, remedy="unpack it first")
    return found


def _local(name: str) -> SourceFile:
    path = Path(name)
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "is no plain file" if path.exists() else "does not exist"
        remedy = "name JSON Lines, CSV or Parquet files, or a pattern such as *.jsonl"
        if "://" in name:
            raise DataError("is in no store that is read", where=name, remedy="download it: s3:// alone is read")
        if path.is_dir():
            remedy += "; a folder is read with --format minari or --format rllib"
        raise DataError(problem, where=name, remedy=remedy)
    with open(path, "rb") as stream:
        opening = stream.read(4)
    found = path.stat()
    identity = f"{path.absolute()} {found.st_size} {found.st_mtime_ns} {found.st_ino}"
    return SourceFile(name, found.st_size, identity, opening, lambda: open(path, "rb"))


def _stored(name: str) -> SourceFile:
    try:
        from envs.log.store import absent, file_information, open_file
    except ImportError:
        remedy = 'install it with: pip install "retrainer[train]"'
        raise MissingExtraError("reading an object store needs pyarrow", where=name, remedy=remedy) from None
    size, changed = file_information(name)
    if size is None:
        raise _absent(name, absent(name))
    with open_file(name) as stream:
        opening = stream.read(4)
    return SourceFile(name, size, f"{name} {size} {changed}", opening, lambda: BufferedReader(open_file(name), BUFFER))


def stored_names(pattern: str) -> list[str]:
    """Names of the objects that a pattern with ``*`` stands for, sorted.

    Raises:
        DataError: there is no such bucket, or the store cannot be read.
    """
    from envs.log.store import absent, matching_files

    try:
        found = matching_files(pattern)
        if not found and absent(pattern) == "bucket":
            raise _absent(pattern, "bucket")
    except OSError as error:
        raise unreadable(pattern, error) from error
    return found


def _absent(name: str, what: str) -> DataError:
    """What to tell where there is no object of that name."""
    bucket = name.partition("://")[2].partition("/")[0]
    problem, remedy = {
        "bucket": (f"the bucket {bucket} does not exist", "check its name, AWS_ENDPOINT_URL and AWS_REGION"),
        "folder": ("is a folder", f"name a pattern: {name.rstrip('/')}/*.jsonl"),
    }.get(what, (f"the bucket {bucket} has no object of that name", "check the name"))
    return DataError(problem, where=name, remedy=remedy)


def stored_below(folder: str) -> list[str]:
    """Names of the Parquet objects below a folder of a store; none where nothing is.

    Raises:
        DataError: the store cannot be read.
    """
    from envs.log.store import parquet_files

    try:
        return sorted(parquet_files(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unreadable(folder, error) from error


def unreadable(name: str, error: OSError) -> DataError:
    """What to tell where a source cannot be read."""
    reason = error.strerror or " ".join(str(error).split())[:160]
    remedy = "check the credentials, and AWS_ENDPOINT_URL" if is_stored(name) else "check the file"
    return DataError(f"cannot be read ({reason})", where=name, remedy=remedy)
