"""The interval charts of the report: pure functions from rows to inline SVG.

Colours are classes that the page's style sheet fills, so that one drawing serves light, dark and
print. Everything drawn also stands as text beside it or in the table below.
"""

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
from ai_engine.reports.formats import shorten

RADIUS = 5.0
CHARACTER = 7.2  # width of a character, on the safe side
EDGE = 10.0  # room for a mark at either end of an axis


@dataclass(frozen=True, slots=True)
class GainRow:
    """One variant of the forest plot.

    Attributes:
        label: first line.
        note: second line.
        point: the gain; ``None`` where there is none.
        lower: lower end of its interval, ``None`` where there is none.
        upper: upper end.
        hollow: whether only a model speaks.
        text: the same in numbers.
        group: rows of one group stand together under its name.
        marked: whether it is the recommendation.
    """

    label: str
    note: str
    point: float | None
    lower: float | None
    upper: float | None
    hollow: bool
    text: str
    group: str
    marked: bool = False


@dataclass(frozen=True, slots=True)
class TruthRow:
    """One policy whose true value is known beside its estimate; unknown numbers are ``None``."""

    label: str
    note: str
    estimate: float | None
    lower: float | None
    upper: float | None
    hollow: bool
    pool: float | None
    pool_error: float | None
    unseen: float | None
    unseen_error: float | None
    text: str


def forest_plot(rows: Sequence[GainRow], identifier: str, title: str, description: str) -> str:
    """Gains with their intervals and the line of no gain; hollow where only a model speaks."""
    points = [0.0, *(row.point for row in rows if row.point is not None)]
    low, high = axis_range(points, [(row.lower, row.upper) for row in rows if not _alone(row)])
    low, high = min(low, 0.0), max(high, 0.0)
    return "".join(_forest(rows, layout, low, high, identifier, title, description) for layout in LAYOUTS)


def _forest(
    rows: Sequence[GainRow], layout: Layout, low: float, high: float, identifier: str, title: str, description: str
) -> str:
    groups = [(name, list(members)) for name, members in groupby(rows, key=lambda row: row.group)]
    pitch, heading, top = (46.0 if layout.stacked else 38.0), 30.0, 20.0
    height = top + heading * len(groups) + pitch * len(rows)
    root = canvas(layout, height + 26, identifier, title, description)
    scale = _scale(layout, low, high)
    horizontal_axis(root, scale, layout, top, height)
    zero = scale.at(0.0)
    add(root, "line", class_="zero", x1=zero, y1=top - 6, x2=zero, y2=height)
    if zero - scale.left > 60:
        add(root, "text", "← worse", class_="tick", x=zero - 8, y=top - 8, text_anchor="end")
    if scale.right - zero > 60:
        add(root, "text", "better →", class_="tick", x=zero + 8, y=top - 8)
    y = top
    for name, members in groups:
        add(root, "text", name, class_="group", x=0.0, y=y + 20)
        y += heading
        for row in members:
            line = _labels(root, layout, row.label, row.note, row.text, y, pitch, row.marked)
            _gain(root, scale, row, line)
            y += pitch
    return markup(root)


def _gain(root: Element, scale: Scale, row: GainRow, y: float) -> None:
    kind = ("gain hollow" if row.hollow else "gain") + (" marked" if row.marked else "")
    mark = add(root, "g", class_=kind)
    add(mark, "title", f"{row.label}: {row.text}")
    if row.point is None:
        add(mark, "text", "no estimate", class_="tick", x=scale.at(0.0) + 8, y=y + 4)
        return
    if not _alone(row):
        _whisker(mark, scale, row.lower, row.upper, y)
    x = scale.at(row.point)
    if scale.holds(row.point):
        add(mark, "circle", class_="point", cx=x, cy=y, r=RADIUS)
    else:
        arrow(mark, x, y, 1 if row.point > scale.high else -1, "head")
    if row.hollow:
        aside, anchor = (-11.0, "end") if scale.right - x < 60 else (11.0, "start")
        add(mark, "text", "model", class_="word", x=x + aside, y=y + 4, text_anchor=anchor)


def _whisker(parent: Element, scale: Scale, lower: float | None, upper: float | None, y: float) -> None:
    """An interval: a bar where it ends on the axis, an arrow where it goes on."""
    if (lower is not None and lower > scale.high) or (upper is not None and upper < scale.low):
        return  # nothing of it is on the axis; the point's own arrow shows where it went
    ends = []
    for value, end, direction in ((lower, scale.low, -1), (upper, scale.high, 1)):
        if value is None or direction * (value - end) > 0:
            ends.append((scale.at(end), direction))
        else:
            ends.append((scale.at(value), 0))
    add(parent, "line", class_="span", x1=ends[0][0], y1=y, x2=ends[1][0], y2=y)
    for x, direction in ends:
        if direction:
            arrow(parent, x, y, direction, "head")
        else:
            add(parent, "line", class_="cap", x1=x, y1=y - 4, x2=x, y2=y + 4)


def truth_plot(rows: Sequence[TruthRow], identifier: str, title: str, description: str) -> str:
    """The interval of each estimate as a bar, the truth on the pool as a dot, on unseen days as a ring."""
    truths = [value for row in rows for value in (row.estimate, row.pool, row.unseen) if value is not None]
    low, high = axis_range(truths, [(row.lower, row.upper) for row in rows])
    drawings = []
    for layout in LAYOUTS:
        pitch, top = (56.0 if layout.stacked else 46.0), 4.0
        height = top + pitch * len(rows)
        root = canvas(layout, height + 26, identifier, title, description)
        scale = _scale(layout, low, high)
        horizontal_axis(root, scale, layout, top, height)
        for index, row in enumerate(rows):
            y = _labels(root, layout, row.label, row.note, row.text, top + index * pitch, pitch, False)
            _truth(root, scale, row, y)
        drawings.append(markup(root))
    return "".join(drawings)


def _truth(root: Element, scale: Scale, row: TruthRow, y: float) -> None:
    mark = add(root, "g", class_="truth hollow" if row.hollow else "truth")
    add(mark, "title", f"{row.label}: {row.text}")
    if row.lower is not None or row.upper is not None:
        left = scale.left if row.lower is None else scale.at(row.lower)
        right = scale.right if row.upper is None else scale.at(row.upper)
        add(mark, "rect", class_="band", x=left, y=y - 9, width=max(right - left, 1.0), height=18.0, rx=3.0)
        if row.lower is None or row.lower < scale.low:
            arrow(mark, scale.left - 2, y, -1, "head")
        if row.upper is None or row.upper > scale.high:
            arrow(mark, scale.right + 2, y, 1, "head")
    if row.estimate is not None and scale.holds(row.estimate):
        add(mark, "line", class_="estimate", x1=scale.at(row.estimate), y1=y - 9, x2=scale.at(row.estimate), y2=y + 9)
    for value, error, kind, place in (
        (row.pool, row.pool_error, "dot", y - 4.5),
        (row.unseen, row.unseen_error, "ring", y + 4.5),
    ):
        if value is None:
            continue
        if not scale.holds(value):
            arrow(mark, scale.at(value), place, 1 if value > scale.high else -1, "head")
            continue
        if error is not None and error > 0:
            ends = {"x1": scale.at(value - error), "x2": scale.at(value + error)}
            add(mark, "line", class_="error", y1=place, y2=place, **ends)
        add(mark, "circle", class_=kind, cx=scale.at(value), cy=place, r=4.0)


def _scale(layout: Layout, low: float, high: float) -> Scale:
    return Scale(low, high, layout.left + EDGE, layout.width - layout.right - EDGE)


def _labels(
    root: Element, layout: Layout, label: str, note: str, text: str, top: float, pitch: float, marked: bool
) -> float:
    """Writes a row's name and numbers; returns the height at which its marks stand."""
    kind = "label marked" if marked else "label"
    short = shorten(label, layout.characters)
    if layout.stacked:
        room = layout.width - CHARACTER * len(text)
        short = shorten(label, max(int(room / CHARACTER) - 1, 6))
        add(root, "text", short, class_=kind, x=0.0, y=top + 13)
        add(root, "text", text, class_="value", x=layout.width, y=top + 13, text_anchor="end")
        return top + 31
    middle = top + pitch / 2
    if note:
        add(root, "text", short, class_=kind, x=0.0, y=middle - 2)
        add(root, "text", shorten(note, layout.characters + 10), class_="note", x=0.0, y=middle + 13)
    else:
        add(root, "text", short, class_=kind, x=0.0, y=middle + 4)
    add(root, "text", text, class_="value", x=layout.width, y=middle + 4, text_anchor="end")
    return middle


def _alone(row: GainRow) -> bool:
    """Whether a point has no interval at all."""
    return row.lower is None and row.upper is None
