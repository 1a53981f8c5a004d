"""How numbers are written for people: sensible digits, one minus sign, an en dash for what is unknown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median_low
from typing import Any

DASH, MINUS, SPACE = "\u2013", "\u2212", "\u00a0"
DIGITS = 3
HASH_CHARACTERS = 13
LARGEST_DECIMALS = 6
SMALLEST_SHARE = 1e-4
LARGEST_PLAIN = 1e15
LARGEST = 1e150
_DURATIONS = (("day", 86_400.0), ("hour", 3_600.0), ("minute", 60.0), ("second", 1.0))


def known(value: Any) -> bool:
    """Whether a value is a finite number of a size that can be written and drawn."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def finite(value: Any) -> float | None:
    """``value`` as a float where it is a finite number, else ``None``."""
    return float(value) if known(value) else None


def number(value: Any, digits: int = DIGITS, *, signed: bool = False) -> str:
    """A number with about ``digits`` significant digits, never rounding away whole ones."""
    if not known(value):
        return DASH
    if isinstance(value, int) or value == 0:
        return fixed(value, 0, signed=signed)
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    if decimals > LARGEST_DECIMALS:
        return _scientific(value, signed)
    text = fixed(value, max(decimals, 0), signed=signed)
    return text.rstrip("0").rstrip(".") if "." in text else text


def fixed(value: Any, decimals: int, *, signed: bool = False) -> str:
    """A number with that many decimals, and a plus sign where ``signed``."""
    if not known(value):
        return DASH
    if value and (decimals > LARGEST_DECIMALS or abs(value) >= LARGEST_PLAIN):
        return _scientific(value, signed)
    text = f"{abs(value):,.{min(max(decimals, 0), LARGEST_DECIMALS)}f}"
    if not any(character in "123456789" for character in text):
        return text
    return _sign(value, signed) + text


def decimals_of(error: Any) -> int | None:
    """Decimals at which an uncertainty shows two significant digits; ``None`` where there is none."""
    if not known(error) or error <= 0:
        return None
    return max(1 - math.floor(math.log10(error)), 0)


def common_decimals(estimates: Iterable[Mapping[str, Any] | None], otherwise: Iterable[Any] = ()) -> int:
    """The decimals that suit a column of estimates: those of its median uncertainty.

    Args:
        estimates: the column.
        otherwise: numbers whose three significant digits decide where no estimate has an interval.
    """
    found = [decimals_of(half_width(estimate)) for estimate in estimates if estimate]
    found += [] if any(decimals is not None for decimals in found) else [decimals_of(_tenth(v)) for v in otherwise]
    return median_low([decimals for decimals in found if decimals is not None] or [DIGITS - 1])


def half_width(estimate: Mapping[str, Any]) -> float | None:
    """Half of an interval, or the side of it that is bounded; ``None`` where nothing is."""
    lower, value, upper = (finite(estimate.get(key)) for key in ("lower", "value", "upper"))
    if lower is not None and upper is not None:
        return upper / 2 - lower / 2
    ends = [abs(end - value) for end in (lower, upper) if end is not None and value is not None]
    return ends[0] if ends else None


def estimate_decimals(estimate: Mapping[str, Any], column: int) -> int:
    """The column's decimals where they suit this interval: at most one more than it deserves, never fewer."""
    own = decimals_of(half_width(estimate))
    return column if own is None else min(max(column, own), own + 1)


def interval(lower: Any, upper: Any, decimals: int, *, signed: bool = False) -> str:
    """``lower to upper``; empty where both are unknown."""
    if not known(lower) and not known(upper):
        return ""
    return f"{fixed(lower, decimals, signed=signed)} to {fixed(upper, decimals, signed=signed)}"


def percent(fraction: Any) -> str:
    """A fraction as per cent, nothing finer than a hundredth of one."""
    if not known(fraction):
        return DASH
    if 0 < abs(fraction) < SMALLEST_SHARE:
        return f"<{SPACE}{number(100.0 * SMALLEST_SHARE)}{SPACE}%"
    return f"{number(100.0 * fraction)}{SPACE}%"


def plus_minus(value: Any, error: Any) -> str:
    """``value ± error`` with the digits that the error allows."""
    if not known(value):
        return DASH
    decimals = decimals_of(error)
    if decimals is None:
        return number(value)
    return f"{fixed(value, decimals)}{SPACE}±{SPACE}{fixed(error, decimals)}"


def duration(seconds: Any) -> str:
    """Seconds in the largest unit that gives at least one."""
    if not known(seconds):
        return DASH
    name, unit = next((pair for pair in _DURATIONS if abs(seconds) >= pair[1]), _DURATIONS[-1])
    text = number(float(seconds) / unit)
    return f"{text}{SPACE}{name}{'' if text == '1' else 's'}"


def words(value: Any) -> str:
    """Any JSON value as text: numbers formatted, lists joined, objects as ``key value``."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, Mapping):
        return " · ".join(f"{label(key)}{SPACE}{words(item)}" for key, item in value.items()) or DASH
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(words(item) for item in value) or DASH
    return str(value)


def figure(value: Any, name: str) -> str:
    """A named figure as text; shares and fractions as per cent, of a dataset's hash the beginning."""
    if name == "dataset" and isinstance(value, str):
        return shorten(value, HASH_CHARACTERS)
    share = name.replace(" ", "_").endswith(("_share", "_fraction", "propensities_logged"))
    return percent(value) if share and known(value) else words(value)


def setting(value: Any) -> str:
    """A hyperparameter exactly as it was set, nothing rounded."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(setting, value)) + "]"
    return str(value)


def label(name: str) -> str:
    """A field's name as words."""
    return name.replace("_", " ")


def sentence(value: Any) -> str:
    """A text as it begins a sentence: with a capital, unless its first word is a name of code."""
    text = words(value)
    return text[:1].upper() + text[1:] if text.split(" ", 1)[0].isalpha() else text


def shorten(text: str, characters: int) -> str:
    """``text`` cut to so many characters, the last one an ellipsis."""
    return text if len(text) <= characters else text[: max(characters - 1, 0)].rstrip() + "…"


def _tenth(value: Any) -> float | None:
    return abs(value) / 10.0 if known(value) else None


def _scientific(value: float, signed: bool) -> str:
    mantissa, _, exponent = f"{abs(value):.{DIGITS - 1}e}".partition("e")
    power = int(exponent)
    return f"{_sign(value, signed)}{mantissa}e{MINUS if power < 0 else ''}{abs(power)}"


def _sign(value: float, signed: bool) -> str:
    if value < 0:
        return MINUS
    return "+" if signed and value > 0 else ""
