"""One field of an agent's observations as a log shows it: what it would be declared as."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from envs.observation import MOST_TAGS, ObservationField

# More values than this are no category but an identifier; the most frequent are kept, others stay unknown (-1).
MAXIMUM_CATEGORIES = 64
COUNTED_VALUES = 65_536  # different values of a field that are counted exactly; beyond, the rarest are forgotten
COUNTED_NUMBERS = 256  # the same for numbers, which are counted only in case texts come among them


@dataclass(slots=True)
class FieldStatistics:
    """How often a field is there, of which types, and its most frequent texts.

    Attributes:
        first: the event that had it first.
    """

    first: str
    present: int = 0
    booleans: int = 0
    bits: int = 0  # numbers that are 0 or 1
    numbers: int = 0
    integers: int = 0
    texts: int = 0
    moments: int = 0
    lists: int = 0
    counted: Counter[str] = field(default_factory=Counter)

    def add(self, value: Any) -> None:
        """Count a value in."""
        if value is None:
            return
        self.present += 1
        if isinstance(value, (bool, np.bool_)):
            self.booleans += 1
        elif isinstance(value, (int, float, np.integer, np.floating)):
            self.bits += self.bits == self.numbers and value in (0, 1)  # one that is neither tells enough
            self.numbers += 1
            if isinstance(value, (int, np.integer)):
                self.integers += 1
        elif isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
            self.lists += 1
            for tag in value:
                self._count(tag)
        else:
            self.texts += 1
            self.moments += self.moments + 1 == self.texts and _is_moment(value)  # one that is none tells enough
            self._count(str(value))
            return
        # Once texts are among them, they are a category's values; until then they are kept in mind, some of them.
        if not self.lists and (self.texts or len(self.counted) < COUNTED_NUMBERS):
            self._count(str(value))

    def _count(self, text: str) -> None:
        self.counted[text] += 1
        if len(self.counted) > COUNTED_VALUES:
            self.counted = Counter(dict(self.counted.most_common(COUNTED_VALUES // 2)))

    @property
    def empty(self) -> bool:
        """Whether there were lists only, and nothing in any of them."""
        return self.lists > 0 and self.lists == self.present and not self.counted

    def declared(self, name: str, kind: str, observations: int) -> ObservationField:
        """The field's draft.

        Args:
            name: of the field.
            kind: of the observation that it is of.
            observations: how many there were.
        """
        optional = self.present < observations
        if self.booleans and self.booleans + self.bits == self.present:
            return ObservationField(name, "boolean", optional=optional)
        if self.numbers + self.booleans == self.present:
            # A vector is "numbers" to whoever wrote it: [0, 1.5] and [0.0, 1.5] are the same observation.
            whole = kind == "object" and self.integers + self.booleans == self.present
            return ObservationField(name, "integer" if whole and self.present else "number", optional=optional)
        if self.present and self.moments == self.present:
            return ObservationField(name, "time", optional=optional)
        tags = self.lists > 0 and self.lists == self.present
        most = MOST_TAGS if tags else MAXIMUM_CATEGORIES
        kept = sorted(self.counted, key=lambda text: (-self.counted[text], text))[:most]
        if tags:
            return ObservationField(name, "tags", categories=tuple(sorted(kept)), optional=optional)
        return ObservationField(name, "category", categories=tuple(sorted(kept)), optional=optional)


def _is_moment(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False
