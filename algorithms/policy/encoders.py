"""What the policy asks of an encoder, and how encoders travel inside an artefact."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from envs.encoding import QuantileGrid, encoder_from_json
from envs.errors import ArtefactError, RetrainerError


class StateEncoder(Protocol):
    """Raw rows to discrete states."""

    @property
    def count(self) -> int:
        """Number of states, Z."""
        ...

    def states(self, rows: np.ndarray) -> np.ndarray:
        """int64 (N,) in [0, Z), -1 for a row that it does not know."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The JSON form that ``encoder_from_json`` reads."""
        ...


class FeatureEncoder(Protocol):
    """Raw rows to features."""

    def features(self, rows: np.ndarray) -> np.ndarray:
        """float64 (N, F)."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The JSON form that ``encoder_from_json`` reads."""
        ...


class ArrayState:
    """The state of one raw row by the encoder's batch form."""

    def __init__(self, encoder: StateEncoder) -> None:
        self._states = encoder.states

    def __call__(self, row: np.ndarray) -> int:
        """State of a raw row (D,)."""
        return int(self._states(row[None, :])[0])


class GridState:
    """The state of one raw row in a :class:`QuantileGrid`, several times faster than for an array of one row."""

    def __init__(self, grid: QuantileGrid) -> None:
        self._columns = [
            (column, cuts.tolist(), len(cuts) + 2, optional)
            for column, cuts, optional in zip(grid.fields, grid.edges, grid.optional, strict=True)
        ]
        self._positions = {code: position for position, code in enumerate(grid.cells.tolist())}

    def __call__(self, row: np.ndarray) -> int:
        """State of a raw row (D,)."""
        values = row.tolist()
        code = 0
        for column, cuts, radix, optional in self._columns:
            value = values[column]
            if value == value:
                code = code * radix + bisect_right(cuts, value)
            elif optional:
                code = code * radix + radix - 1
            else:
                return -1
        return self._positions.get(code, -1)


def state_function(encoder: StateEncoder) -> Callable[[np.ndarray], int]:
    """Raw row (D,) to state: what one decision calls."""
    if isinstance(encoder, QuantileGrid) and not encoder.periods:
        return GridState(encoder)
    return ArrayState(encoder)


def encoder_to_json(encoder: StateEncoder | FeatureEncoder) -> dict[str, Any]:
    """The encoder's JSON form."""
    return encoder.to_json()


def read_encoder(value: Any) -> Any:
    """The encoder of a JSON form.

    Raises:
        ArtefactError: not an encoder, or of a kind that this version does not know.
    """
    try:
        return encoder_from_json(value)
    except (RetrainerError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtefactError(f"cannot be read: {error}", where="encoder", remedy="update retrainer") from None
