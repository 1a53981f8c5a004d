"""What every encoder can do, and the registry that turns JSON back into one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from envs.encoding.features import StandardFeatures
from envs.encoding.kmeans import KMeansStates
from envs.encoding.states import IntegerStates, QuantileGrid
from envs.errors import ArtefactError


class Encoder(Protocol):
    """What is fitted on train, written into artefacts as JSON and read back."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON with the key ``kind``; :func:`encoder_from_json` gives an equal encoder back."""
        ...


@runtime_checkable
class Discretizer(Encoder, Protocol):
    """From raw rows to numbered states."""

    @property
    def count(self) -> int:
        """Number of states, Z."""
        ...

    def states(self, rows: np.ndarray) -> np.ndarray:
        """States of raw rows (N, D), int64 (N,) in [0, count), -1 for one never seen."""
        ...


@runtime_checkable
class FeatureEncoder(Encoder, Protocol):
    """From raw rows to real features."""

    @property
    def size(self) -> int:
        """Number of features, F."""
        ...

    def features(self, rows: np.ndarray) -> np.ndarray:
        """Features of raw rows (N, D), float64 (N, F)."""
        ...


ENCODERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "IntegerStates": IntegerStates.from_json,
    "KMeansStates": KMeansStates.from_json,
    "QuantileGrid": QuantileGrid.from_json,
    "StandardFeatures": StandardFeatures.from_json,
}


def encoder_from_json(data: Mapping[str, Any]) -> Any:
    """The encoder that wrote this JSON, a :class:`Discretizer` or a :class:`FeatureEncoder`.

    Raises:
        ArtefactError: unknown kind, or values that describe no encoder.
    """
    kind = data.get("kind") if isinstance(data, Mapping) else None
    if not isinstance(kind, str) or kind not in ENCODERS:
        raise ArtefactError(
            f"{kind!r} is not a kind of encoder", where="encoder", remedy=f"known are {', '.join(ENCODERS)}"
        )
    return ENCODERS[kind](data)
