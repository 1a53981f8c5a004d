"""The one chart that only a comparison has: many intervals of one quantity, close together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from ai_engine.reports.drawing import (
    LAYOUTS,
    Element,
    Layout,
    Scale,
    add,
    arrow,
    axis_range,
    canvas,
    horizontal_axis,
    markup,
)

EDGE, HEADING, PITCH = 10.0, 30.0, 22.0


@dataclass(frozen=True, slots=True)
class ValueRow:
    """One value with its interval.

    Attributes:
        label: whose it is.
        group: rows of one group stand together under its name.
        value: ``None`` where it is not known.
        lower: lower end of its interval, ``None`` where there is none.
        upper: upper end.
        hollow: whether only a model speaks.
        text: the same in numbers.
    """

    label: str
    group: str
    value: float | None
    lower: float | None
    upper: float | None
    hollow: bool
    text: str


def value_strip(rows: Sequence[ValueRow], identifier: str, title: str) -> str:
    """A thin band for each interval and a line for its value, in groups on one axis."""
    values = [row.value for row in rows if row.value is not None]
    low, high = axis_range(values, [(row.lower, row.upper) for row in rows if row.lower is not None])
    text = "; ".join(f"{row.group} {row.label}: {row.text}" for row in rows)
    return "".join(_strip(rows, layout, low, high, identifier, title, text) for layout in LAYOUTS)


def _strip(
    rows: Sequence[ValueRow], layout: Layout, low: float, high: float, identifier: str, title: str, text: str
) -> str:
    groups = [(name, list(members)) for name, members in groupby(rows, key=lambda row: row.group)]
    pitch = PITCH + (16.0 if layout.stacked else 0.0)
    height = HEADING * len(groups) + pitch * len(rows)
    root = canvas(layout, height + 26, identifier, title, text)
    scale = Scale(low, high, layout.left + EDGE, layout.width - layout.right - EDGE)
    horizontal_axis(root, scale, layout, 0.0, height)
    y = 0.0
    for name, members in groups:
        add(root, "text", name, class_="group", x=0.0, y=y + 20)
        y += HEADING
        for row in members:
            line = y + pitch - PITCH / 2
            written = y + 12 if layout.stacked else line + 4
            add(root, "text", row.label, class_="label", x=0.0, y=written)
            add(root, "text", row.text, class_="value", x=layout.width, y=written, text_anchor="end")
            _mark(root, scale, row, line)
            y += pitch
    return markup(root)


def _mark(root: Element, scale: Scale, row: ValueRow, y: float) -> None:
    mark = add(root, "g", class_="truth hollow" if row.hollow else "truth")
    add(mark, "title", f"{row.group}, {row.label}: {row.text}")
    if row.lower is not None and row.upper is not None:
        left, right = scale.at(row.lower), scale.at(row.upper)
        add(mark, "rect", class_="band", x=left, y=y - 6, width=max(right - left, 1.0), height=12.0, rx=2.0)
        for end, x, direction in ((row.lower, scale.left - 2, -1), (row.upper, scale.right + 2, 1)):
            if not scale.holds(end):
                arrow(mark, x, y, direction, "head")
    if row.value is None:
        return
    x = scale.at(row.value)
    if scale.holds(row.value):
        add(mark, "line", class_="estimate", x1=x, y1=y - 6, x2=x, y2=y + 6)
    else:
        arrow(mark, x, y, 1 if row.value > scale.high else -1, "head")
