"""The files behind a table: a folder, an ``s3://`` bucket, or any other store that deltalake knows."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, PyFileSystem, S3FileSystem

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
S3 = ("s3", "s3a")


def storage_options(uri: str) -> dict[str, str] | None:
    """What deltalake is to be told of a place beside the environment: an ``http`` endpoint that is named is meant."""
    plain = os.environ.get("AWS_ENDPOINT_URL", "").lower().startswith("http://")
    return {"allow_http": "true"} if plain and uri.partition("://")[0] in S3 else None


def reason(error: BaseException) -> str:
    """What a library says of a failure, on one line, without colours and not too long."""
    return " ".join(COLOUR.sub("", str(error)).split())[:200]


def local_folder(uri: str) -> Path | None:
    """The folder that a URI names; ``None`` for an object store."""
    if "://" in uri and not uri.startswith("file://"):
        return None
    return Path(local_path(uri))


def local_path(uri: str) -> str:
    """A file's path, of its URI."""
    return unquote(urlparse(uri).path) if uri.startswith("file://") else uri


def open_file(uri: str) -> Any:
    """A file, to be read anywhere in it."""
    files, path = _placed(uri)
    return files.open_input_file(path)


def file_information(uri: str) -> tuple[int | None, str]:
    """Size in bytes (``None`` where it is not there) and time of modification of a file."""
    files, path = _placed(uri)
    info = files.get_file_info(path)
    return (info.size if info.type == FileType.File else None), str(info.mtime_ns)


def absent(uri: str) -> str:
    """What there is instead of a file of that name: no ``bucket``, no ``object``, or a ``folder``."""
    files, path = _placed(uri)
    info, bucket = files.get_file_info([path.rstrip("/"), path.partition("/")[0]])
    if bucket.type == FileType.NotFound:
        return "bucket"
    return "folder" if info.type == FileType.Directory else "object"


def matching_files(pattern: str) -> list[str]:
    """URIs of the files that a URI with ``*``, ``?`` or ``[...]`` in its path stands for, sorted."""
    files, path = _placed(pattern)
    root = path[: min(path.find(mark) for mark in "*?[" if mark in path)].rpartition("/")[0]
    prefix = pattern[: len(pattern) - len(path)]
    listed = files.get_file_info(FileSelector(root, recursive=True, allow_not_found=True))
    # As of a local path, a star stays within its folder.
    found = [info.path for info in listed if info.type == FileType.File and info.path.count("/") == path.count("/")]
    return sorted(prefix + item for item in found if fnmatchcase(item, path))


def parquet_files(table: str) -> set[str]:
    """URIs of the data files that are stored under a table, whatever version they are of."""
    files, root = _placed(table.rstrip("/"))
    listed = files.get_file_info(FileSelector(root, recursive=True))
    below = f"{root}/_delta_log/"
    return {
        f"{table.rstrip('/')}{info.path[len(root) :]}"
        for info in listed
        if info.type == FileType.File and info.path.endswith(".parquet") and not info.path.startswith(below)
    }


def _placed(uri: str) -> tuple[FileSystem, str]:
    """The file system and the path in it."""
    if local_folder(uri) is not None:
        return LocalFileSystem(), local_path(uri)
    scheme, _, rest = uri.partition("://")
    if scheme in S3:
        return _s3(os.environ.get("AWS_ENDPOINT_URL"), os.environ.get("AWS_REGION")), rest
    from deltalake.fs import DeltaStorageHandler

    bucket, _, path = rest.partition("/")
    return PyFileSystem(DeltaStorageHandler(f"{scheme}://{bucket}")), path


@lru_cache(maxsize=4)
def _s3(endpoint: str | None, region: str | None) -> S3FileSystem:
    """The client by the same variables that deltalake reads."""
    return S3FileSystem(endpoint_override=endpoint, region=region)
