"""What a user names, as readers: files, patterns, objects of a store, frames."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from envs.errors import DataError
from envs.importing.files import is_stored, source_file, stored_names
from envs.importing.readers import FORMATS, Reader, reader_of, reader_together

# Formats whose sources are single files, so that a pattern can name several; the first three are told from each other.
OF_FILES = ("jsonl", "csv", "parquet", "record_action", "vowpal_wabbit", "opentelemetry", "d3rlpy")
TOGETHER = ("rllib",)  # whose files are parts of one recording
SUFFIXES = {"csv": "csv", "tsv": "csv", "parquet": "parquet", "pq": "parquet", "toml": "prometheus"}
HDF5 = b"\x89HDF"
PATTERN = frozenset("*?[")


def open_sources(
    sources: Sequence[Any], format_name: str = "", options: Mapping[str, Any] | None = None
) -> list[Reader]:
    """The readers of what a user named, in order; each file once.

    Args:
        sources: paths, patterns such as ``logs/*.jsonl``, ``s3://`` addresses, or frames.
        format_name: of all of them; by default each file's own is found out.
        options: of the format.

    Raises:
        DataError: there is none, one is not there, or a format is not known.
        MissingExtraError: a package is missing.
    """
    readers: list[Reader] = []
    together: list[str] = []
    for source in sources:
        if not isinstance(source, (str, Path)):
            from envs.importing.reader_frame import FrameReader

            readers.append(FrameReader(source, f"frame {len(readers) + 1}" if len(sources) > 1 else "frame"))
        elif format_name and format_name not in OF_FILES:
            names = _names(str(source), folders=True)
            if format_name in TOGETHER:
                together += names
            else:
                readers += [reader_of(name, format_name, options) for name in names]
        else:
            readers += [_file_reader(name, format_name, options) for name in _names(str(source))]
    if together:
        readers.append(reader_together(together, format_name, options))
    if not readers:
        raise DataError("there is nothing to import", remedy="name a file")
    return readers


def _names(source: str, *, folders: bool = False) -> list[str]:
    """The files (and folders) that a name stands for: itself, or those that fit the pattern."""
    elsewhere = "://" in source and not is_stored(source)  # a server
    if elsewhere or not PATTERN & set(source) or (not is_stored(source) and Path(source).exists()):
        return [source]
    found = stored_names(source) if is_stored(source) else sorted(glob.glob(source, recursive=True))
    found = [name for name in found if folders or is_stored(name) or not Path(name).is_dir()]
    if not found:
        raise DataError("no file is named like that", where=source, remedy="check the pattern")
    return found


def _file_reader(name: str, format_name: str, options: Mapping[str, Any] | None) -> Reader:
    file = source_file(name)
    if not format_name:
        suffix = SUFFIXES.get(name.rpartition(".")[2].lower(), "jsonl")
        if file.opening == HDF5 and suffix != "parquet":  # whose reader says so itself
            remedy = "import it with --format d3rlpy, or the folder of a Minari data set with --format minari"
            raise DataError("is HDF5, which several formats are kept in", where=name, remedy=remedy)
        format_name = "parquet" if file.opening == b"PAR1" else suffix
    assert format_name in FORMATS
    return reader_of(name, format_name, options)
