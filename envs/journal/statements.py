"""Many values in few statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

VARIABLES = 500
"""SQLite accepts at least this many in one statement."""
Values = TypeVar("Values", Sequence[str], Sequence[bytes], Sequence[tuple[Any, ...]], np.ndarray)


def chunks(values: Values, most: int = VARIABLES) -> Iterator[Values]:
    """The values in order, at most so many at a time."""
    for start in range(0, len(values), most):
        yield values[start : start + most]
