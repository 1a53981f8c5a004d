"""Values that the declaration does not know: encoders see "none of them" there, and here they are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from envs.observation import ObservationField, ObservationSpecification, flatten


def count_unknown(observation: ObservationSpecification, seen: Iterable[Any]) -> dict[str, int]:
    """How many observations have an undeclared category or tag, by field; fields without any are left out.

    Args:
        observation: the declaration.
        seen: observations as they were recorded.
    """
    named = [declared for declared in observation.fields if declared.categories]
    counts: Counter[str] = Counter()
    for item in seen if named else ():
        if isinstance(item, Mapping):
            flat = flatten(item)
            counts.update(declared.name for declared in named if _unknown(declared, flat.get(declared.name)))
    return dict(counts)


def _unknown(declared: ObservationField, value: Any) -> bool:
    if value is None:
        return False
    values = value if declared.type == "tags" and isinstance(value, (list, tuple, set, frozenset)) else [value]
    return any(declared.category(item) not in declared.categories for item in values)
