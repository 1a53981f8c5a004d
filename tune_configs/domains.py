"""What a hyperparameter may be: one of some values, or a number between two bounds, even or on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.errors import SpecificationError
from tune_configs.variant import Value

FACTOR = 1.25
"""What a small change multiplies or divides a number on a logarithmic scale by."""
SHARE = 0.2
"""Share of its range by which a small change moves any other number."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values, each as likely as the next; a value that stands twice is twice as likely.

    Attributes:
        values: in an order in which neighbours are alike, where there is one.

    Raises:
        SpecificationError: there is no value.
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        if not self.values:
            raise SpecificationError("a choice among no values", where="search space", remedy="give at least one")

    def draw(self, rng: np.random.Generator) -> Value:
        """A value at random."""
        return self.values[int(rng.integers(len(self.values)))]

    def contains(self, value: Value) -> bool:
        """Whether it is one of the values; ``True`` is not 1 here, nor 1.0 the whole number 1."""
        return any(type(each) is type(value) and each == value for each in self.values)

    def near(self, value: Value, rng: np.random.Generator) -> Value:
        """A neighbour of a value, or the value itself at an end."""
        place = self.values.index(value) + int(rng.choice((-1, 1)))
        return self.values[min(max(place, 0), len(self.values) - 1)]

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {"kind": "choice", "values": [list(v) if isinstance(v, tuple) else v for v in self.values]}


@dataclass(frozen=True, slots=True)
class Uniform:
    """A number in [low, high].

    Raises:
        SpecificationError: a bound is not finite, or ``low`` is not below ``high``.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, "uniform")

    def draw(self, rng: np.random.Generator) -> Value:
        """A number at random."""
        return float(rng.uniform(self.low, self.high))

    def contains(self, value: Value) -> bool:
        """Whether it is a number between the bounds."""
        return _is_number(value) and self.low <= value <= self.high  # type: ignore[operator]

    def near(self, value: Value, rng: np.random.Generator) -> Value:
        """A fifth of the range above or below, inside the bounds."""
        moved = float(value) + float(rng.choice((-1, 1))) * SHARE * (self.high - self.low)  # type: ignore[arg-type]
        return min(max(moved, float(self.low)), float(self.high))

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {"kind": "uniform", "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class LogUniform:
    """A number in [low, high] whose logarithm is uniform: as likely between 0.001 and 0.01 as between 0.01 and 0.1.

    Raises:
        SpecificationError: a bound is not finite, ``low`` is not above 0, or not below ``high``.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, "log-uniform")
        if self.low <= 0:
            raise SpecificationError(f"low is {self.low}", where="log-uniform domain", remedy="give more than 0")

    def draw(self, rng: np.random.Generator) -> Value:
        """A number at random."""
        drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return min(max(drawn, float(self.low)), float(self.high))

    def contains(self, value: Value) -> bool:
        """Whether it is a number between the bounds."""
        return _is_number(value) and self.low <= value <= self.high  # type: ignore[operator]

    def near(self, value: Value, rng: np.random.Generator) -> Value:
        """A quarter more, or as much less, inside the bounds."""
        moved = float(value) * FACTOR ** float(rng.choice((-1, 1)))  # type: ignore[arg-type]
        return min(max(moved, float(self.low)), float(self.high))

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {"kind": "log_uniform", "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class WholeNumber:
    """A whole number from low to high, both included.

    Attributes:
        low: the smallest.
        high: the largest.
        logarithmic: whether its logarithm is (nearly) uniform, else the number itself is.

    Raises:
        SpecificationError: a bound is no whole number, or ``low`` is not below ``high``; 1 is the least of a
            logarithmic one.
    """

    low: int
    high: int
    logarithmic: bool = False

    def __post_init__(self) -> None:
        whole = all(isinstance(bound, int) and not isinstance(bound, bool) for bound in (self.low, self.high))
        if not whole or self.low >= self.high or (self.logarithmic and self.low < 1):
            least = "1 or more, " if self.logarithmic else ""
            raise SpecificationError(
                f"from {self.low!r} to {self.high!r}",
                where="whole-number domain",
                remedy=f"give two whole numbers, {least}the smaller first",
            )

    def draw(self, rng: np.random.Generator) -> Value:
        """A number at random."""
        if not self.logarithmic:
            return int(rng.integers(self.low, self.high + 1))
        drawn = math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
        return min(max(round(drawn), self.low), self.high)

    def contains(self, value: Value) -> bool:
        """Whether it is a whole number between the bounds."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def near(self, value: Value, rng: np.random.Generator) -> Value:
        """A fifth of the range (logarithmic: a quarter of the number) away, at least 1, inside the bounds."""
        number = int(value)  # type: ignore[arg-type]
        distance = (FACTOR - 1.0) * number if self.logarithmic else SHARE * (self.high - self.low)
        moved = number + int(rng.choice((-1, 1))) * max(1, round(distance))
        return min(max(moved, self.low), self.high)

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {"kind": "whole_number", "low": self.low, "high": self.high, "logarithmic": self.logarithmic}


Domain = Choice | Uniform | LogUniform | WholeNumber
KINDS: dict[str, type[Uniform] | type[LogUniform] | type[WholeNumber]] = {
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "whole_number": WholeNumber,
}


def domain_from_json(data: Mapping[str, Any]) -> Domain:
    """The domain whose ``to_json`` this is."""
    if data["kind"] == "choice":
        return Choice(tuple(tuple(v) if isinstance(v, list) else v for v in data["values"]))
    return KINDS[data["kind"]](**{name: value for name, value in data.items() if name != "kind"})


def as_domain(values: object, name: str = "") -> Domain:
    """The domain, or the choice among the values of a tuple or list.

    Raises:
        SpecificationError: neither of them.
    """
    if isinstance(values, Choice | Uniform | LogUniform | WholeNumber):
        return values
    if isinstance(values, tuple | list):
        return Choice(tuple(values))
    raise SpecificationError(
        f"{values!r} is no domain",
        where=f"search space, {name}" if name else "search space",
        remedy="give Choice, Uniform, LogUniform, WholeNumber or a tuple of values",
    )


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_bounds(low: float, high: float, kind: str) -> None:
    if not (_is_number(low) and _is_number(high) and math.isfinite(low) and math.isfinite(high) and low < high):
        raise SpecificationError(
            f"from {low!r} to {high!r}", where=f"{kind} domain", remedy="give two finite numbers, the smaller first"
        )
