"""Where a policy comes from: enough to repeat its training and to judge its evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from envs.errors import ArtefactError


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made a policy.

    Attributes:
        parent: version that it was trained against, or empty.
        specification_hash: of the agent's declaration at training.
        reward: the reward's versioned expression.
        dataset: identifier of the dataset.
        code_version: version of the code that trained it.
        algorithm: registry name.
        hyperparameters: as resolved, defaults included.
        training: figures of the training.
        evaluation: estimates with their intervals.
        note: free text for the reader.
    """

    parent: str = ""
    specification_hash: str = ""
    reward: str = ""
    dataset: str = ""
    code_version: str = ""
    algorithm: str = ""
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The JSON form; a figure that is not finite becomes null."""
        plain: dict[str, Any] = plain_json(asdict(self))
        return plain

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Provenance:
        """The provenance that :meth:`to_json` wrote.

        Raises:
            ArtefactError: a field is missing, unknown or of another type.
        """
        empty = cls()
        if set(value) != {column.name for column in fields(cls)} or any(
            type(value[column.name]) is not type(getattr(empty, column.name)) for column in fields(cls)
        ):
            raise ArtefactError("has other fields than this format", where="provenance", remedy="update retrainer")
        return cls(**value)


def plain_json(value: Any) -> Any:
    """The same value of JSON's own types: numpy scalars and arrays unpacked, non-finite numbers null."""
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain_json(value.tolist())
    if isinstance(value, np.generic):
        return plain_json(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, (Sequence, set, frozenset)):
        return [plain_json(item) for item in value]
    return str(value)
