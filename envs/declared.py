"""One table of a declaration, read strictly: each getter checks type and range and names the key."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, overload

from envs.errors import SpecificationError


class Table:
    """Typed access to one TOML table.

    Args:
        values: the table, of plain or tomlkit values.
        where: the agent, for messages.
        known: the keys that may occur.
        prefix: what stands before the key in messages.

    Raises:
        SpecificationError: ``values`` is no table, or holds an unknown key.
    """

    def __init__(self, values: Any, where: str, *, known: Sequence[str], prefix: str = "") -> None:
        self._where, self._prefix = where, prefix
        if not isinstance(values, Mapping):
            key = prefix.rstrip(".") or "the declaration"
            raise SpecificationError(f"{key}: {values!r} is not a table", where=where, remedy="write a table of keys")
        # tomlkit's items carry their comments along; a specification holds plain values.
        self._values: dict[str, Any] = values.unwrap() if hasattr(values, "unwrap") else dict(values)
        for key in self._values:
            if key not in known:
                raise self.error(str(key), "is not a key of the declaration", f"known are {', '.join(known)}")

    def error(self, key: str, problem: str, remedy: str) -> SpecificationError:
        """The error that names agent and key."""
        return SpecificationError(f"{self._prefix}{key}: {problem}", where=self._where, remedy=remedy)

    def table(self, key: str) -> Mapping[str, Any] | None:
        """The sub-table, or ``None`` where it is absent."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, Mapping):
            raise self.error(key, f"{value!r} is not a table", "write a table of keys")
        return value

    def array(self, key: str, *, required: bool = False) -> list[Any]:
        """The list, empty where it is absent and not required."""
        value = self._values.get(key)
        if value is None and not required:
            return []
        if isinstance(value, str) or not isinstance(value, Sequence):
            shown = "is missing" if value is None else f"{value!r} is not a list"
            raise self.error(key, shown, "write a list in brackets")
        return list(value)

    def text(self, key: str, default: str | None, *, choices: Sequence[str] = (), empty: bool = True) -> str:
        """The string; ``default=None`` makes it required."""
        value = self._values.get(key, default)
        if not isinstance(value, str) or (choices and value not in choices) or (not empty and not value):
            shown = "is missing" if value is None else f"{value!r} is not allowed"
            raise self.error(key, shown, f"write one of {', '.join(choices)}" if choices else "write a text in quotes")
        return value

    def boolean(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"{value!r} is not a boolean", "write true or false")
        return value

    def integer(self, key: str, default: int, *, low: int) -> int:
        """An integer of at least ``low``."""
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise self.error(key, f"{value!r} is not an integer of at least {low}", f"write {low} or more")
        return value

    @overload
    def number(
        self, key: str, default: float, *, low: float = ..., high: float = ..., open_low: bool = ...
    ) -> float: ...
    @overload
    def number(
        self, key: str, default: None, *, low: float = ..., high: float = ..., open_low: bool = ...
    ) -> float | None: ...
    def number(
        self,
        key: str,
        default: float | None,
        *,
        low: float = -math.inf,
        high: float = math.inf,
        open_low: bool = False,
    ) -> float | None:
        """A finite number in [low, high], or in (low, high] with ``open_low``."""
        value = self._values.get(key, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self.error(key, f"{value!r} is not a finite number", "write a number")
        if not low <= value <= high or (open_low and value == low):
            least = f"{'above' if open_low else 'at least'} {low:g}"
            remedy = f"write a number {least}" + (f" and at most {high:g}" if high < math.inf else "")
            raise self.error(key, f"{value:g} is out of range", remedy)
        return float(value)

    def interval(self, key: str) -> tuple[float, float] | None:
        """Two finite numbers, the first below the second, or ``None`` where it is absent."""
        if self._values.get(key) is None:
            return None
        value = self.array(key)
        good = len(value) == 2 and all(
            isinstance(bound, (int, float)) and not isinstance(bound, bool) and math.isfinite(bound) for bound in value
        )
        if not good or value[0] >= value[1]:
            raise self.error(key, f"{value!r} is not a range", "write [smallest, largest]")
        return float(value[0]), float(value[1])
