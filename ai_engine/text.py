"""Plain terminal text: tables and numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

ESTIMATED_PROPENSITIES = "Propensities are estimated: every number stands on that estimate as well."


def number(value: float | None, digits: int = 3) -> str:
    """A figure of so many significant digits, an en dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"


def signed(value: float | None, digits: int = 3) -> str:
    """A figure with its sign."""
    text = number(value, digits)
    return text if text == "–" or text.startswith("-") else f"+{text}"


def interval(lower: float | None, upper: float | None) -> str:
    """A confidence interval, an en dash where there is none."""
    text = f"[{number(lower)}, {number(upper)}]"
    return "–" if text == "[–, –]" else text


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned by spaces, the last one left open."""
    lines = [list(header), *map(list, rows)] if header else [list(row) for row in rows]
    if not lines:
        return ""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
