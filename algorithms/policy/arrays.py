"""Arrays inside JSON: base64 of little-endian bytes with dtype and shape; checked before they are trusted."""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

import numpy as np

from envs.errors import ArtefactError

DTYPES = ("<f8", "<f4", "<i8", "<i4", "<i2", "|i1", "|b1")
MAXIMUM_ELEMENTS = 100_000_000
RESTORE = "restore the file from a copy, or train again"


def array_to_json(array: np.ndarray) -> dict[str, Any]:
    """``{"dtype", "shape", "data"}`` of an array of numbers or booleans.

    Raises:
        ArtefactError: a dtype that the format does not know, or a number that is not finite.
    """
    little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    if little.dtype.str not in DTYPES:
        raise ArtefactError(
            f"an array of dtype {array.dtype} cannot be stored", remedy=f"use one of {', '.join(DTYPES)}"
        )
    if little.dtype.kind == "f" and not np.isfinite(little).all():
        raise ArtefactError("an array holds numbers that are not finite", remedy="train again, with a smaller step")
    data = base64.b64encode(np.ascontiguousarray(little).tobytes()).decode("ascii")
    return {"data": data, "dtype": little.dtype.str, "shape": list(array.shape)}


def array_from_json(value: Any, name: str, *, dimensions: int | None = None, kind: str | None = None) -> np.ndarray:
    """The read-only array that :func:`array_to_json` wrote.

    Args:
        value: the JSON object.
        name: what it is called in messages.
        dimensions: the number of axes it must have.
        kind: numpy's dtype kinds it may have, such as ``"f"`` or ``"iu"``.

    Raises:
        ArtefactError: unknown dtype, a size that does not agree with the shape, NaN or infinity.
    """
    if not isinstance(value, dict) or set(value) != {"data", "dtype", "shape"}:
        raise ArtefactError("is not a stored array", where=name, remedy=RESTORE)
    dtype, shape = value["dtype"], value["shape"]
    if dtype not in DTYPES or (kind is not None and np.dtype(dtype).kind not in kind):
        raise ArtefactError(f"dtype {dtype!r} is not allowed", where=name, remedy=RESTORE)
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape) or len(shape) > 4:
        raise ArtefactError(f"shape {shape!r} is not a shape", where=name, remedy=RESTORE)
    if dimensions is not None and len(shape) != dimensions:
        raise ArtefactError(f"has {len(shape)} axes instead of {dimensions}", where=name, remedy=RESTORE)
    elements = math.prod(shape)
    if elements > MAXIMUM_ELEMENTS:
        raise ArtefactError(f"{elements} numbers are more than {MAXIMUM_ELEMENTS}", where=name, remedy=RESTORE)
    try:
        data = base64.b64decode(value["data"], validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise ArtefactError("data are not base64", where=name, remedy=RESTORE) from None
    if len(data) != elements * np.dtype(dtype).itemsize:
        raise ArtefactError(f"{len(data)} bytes do not fill shape {tuple(shape)}", where=name, remedy=RESTORE)
    if dtype == "|b1" and data.strip(b"\x00\x01"):
        raise ArtefactError("booleans are not 0 or 1", where=name, remedy=RESTORE)
    array = np.frombuffer(data, dtype=dtype).reshape(shape)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ArtefactError("holds numbers that are not finite", where=name, remedy=RESTORE)
    return array
