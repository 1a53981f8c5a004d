"""HDF5 of unknown origin, read so that it can neither reach other files nor fill the memory.

Only plain data sets behind hard links are read: a soft or external link, an external storage and a virtual
data set can all name other files of this machine. What one read would unpack is known from the header and
bounded before it is read (:data:`MAXIMUM_CHUNK`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from envs.errors import DataError
from envs.importing.files import is_stored
from envs.importing.readers import MAXIMUM_ROW
from envs.importing.row_building import missing, reason

MAXIMUM_CHUNK = 64 * 2**20
"""Bytes that HDF5 unpacks at least, for one entry."""
MAXIMUM_LEAVES = 4096
"""Arrays of one episode."""
DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError, OverflowError, MemoryError, IndexError)
"""What h5py raises for a damaged file."""


class UnsafeError(ValueError):
    """Something in the file is not read; the text says why."""


def open_hdf5(path: str, what: str) -> Any:
    """The file, as ``h5py.File``.

    Raises:
        DataError: it is not there, or not HDF5.
        MissingExtraError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise missing("h5py", f"reading {what}", path) from None
    if is_stored(path):
        raise DataError("is in an object store", where=path, remedy=f"download it: files of {what} are read locally")
    try:
        return h5py.File(path, "r", locking=False)
    except FileNotFoundError:
        raise DataError("does not exist", where=path, remedy=f"name a file of {what}") from None
    except DAMAGE as error:
        raise DataError(
            f"is not HDF5, or damaged ({reason(error)})", where=path, remedy="copy the file again"
        ) from None


def member(group: Any, name: str) -> Any:
    """A group or data set, or ``None`` where there is none of that name.

    Raises:
        UnsafeError: it is behind a link, in another file, or would unpack to more than is read.
    """
    import h5py

    link = group.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise UnsafeError(f"{name} is a link to elsewhere, which is not followed")
    found = group[name]
    if isinstance(found, h5py.Dataset):
        _check(found, name)
    return found


def tree(node: Any, depth: int = 1) -> Any:
    """The data sets of a group by name, nested as it is; a data set itself.

    Raises:
        UnsafeError: see :func:`member`; or there are more than :data:`MAXIMUM_LEAVES`.
    """
    import h5py

    if isinstance(node, h5py.Dataset):
        return node
    if not isinstance(node, h5py.Group):
        raise UnsafeError("is neither a group nor a data set")
    if depth > 32:
        raise UnsafeError("is nested deeper than 32 levels")
    if len(node) > MAXIMUM_LEAVES:
        raise UnsafeError(f"has more than {MAXIMUM_LEAVES} arrays")
    found = {name: tree(member(node, name), depth + 1) for name in node}
    if sum(1 for _ in data_sets(found)) > MAXIMUM_LEAVES:
        raise UnsafeError(f"has more than {MAXIMUM_LEAVES} arrays")
    # ``Tuple`` spaces are groups of _index_0, _index_1, ...
    if found and all(name.removeprefix("_index_").isdecimal() and name.startswith("_index_") for name in found):
        return {name.removeprefix("_index_"): found[name] for name in found}
    return found


def data_sets(node: Any) -> Iterator[Any]:
    """The leaves of a :func:`tree`."""
    if isinstance(node, dict):
        for part in node.values():
            yield from data_sets(part)
    else:
        yield node


def scalar(node: Any) -> Any:
    """The value of a data set of one, texts as texts."""
    if math.prod(node.shape) != 1:
        raise UnsafeError("is not one value")
    value = node[()]
    value = value.reshape(-1)[0] if getattr(value, "ndim", 0) else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def entry_bytes(node: Any) -> int:
    """Bytes of one entry of a data set along its first axis."""
    return int(math.prod(node.shape[1:])) * int(node.dtype.itemsize)


def _check(found: Any, name: str) -> None:
    import h5py

    if found.is_virtual or found.external:
        raise UnsafeError(f"{name} is kept in other files, which are not read")
    if found.dtype.kind == "O":
        if h5py.check_string_dtype(found.dtype) is None:
            raise UnsafeError(f"{name} holds references or lists of differing length")
    elif found.dtype.kind not in "biufSU":
        raise UnsafeError(f"{name} has the type {found.dtype}")
    if found.shape and entry_bytes(found) > MAXIMUM_ROW:
        raise UnsafeError(f"{name} has {entry_bytes(found):,} bytes a step, more than {MAXIMUM_ROW:,}")
    unpacked = math.prod(found.chunks) * found.dtype.itemsize if found.chunks else 0
    if unpacked > MAXIMUM_CHUNK:
        raise UnsafeError(f"{name} unpacks to {unpacked:,} bytes at once, more than {MAXIMUM_CHUNK:,}")
