"""The few things all charts share: elements, a linear scale, an axis that is not torn by outliers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from xml.etree import ElementTree

from ai_engine.reports.formats import fixed, number

WIDE_INTERVAL = 4.0  # an interval wider than so many median ones may be cut
FAR_POINT = 8.0  # a point further away than so many typical distances may be cut
WORTH_CUTTING = 3.0  # nothing is cut unless the axis would be so many times longer
_CONTROL = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(127, 160), *range(0xD800, 0xE000)))

Element = ElementTree.Element
Span = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a chart puts things, in user units (one CSS pixel at natural size).

    Attributes:
        name: CSS class that shows the chart on wide or narrow pages.
        width: of the whole drawing.
        left: width of the label column; 0 puts labels above their marks.
        right: width of the column of numbers.
        characters: longest label.
        ticks: about how many ticks the axis gets.
    """

    name: str
    width: float
    left: float
    right: float
    characters: int
    ticks: int

    @property
    def stacked(self) -> bool:
        """Whether labels stand above their marks."""
        return self.left == 0


WIDE = Layout("wide", 880.0, 232.0, 204.0, 33, 6)
NARROW = Layout("narrow", 360.0, 0.0, 0.0, 40, 5)
LAYOUTS = (WIDE, NARROW)


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from values in [low, high] to positions in [left, right]."""

    low: float
    high: float
    left: float
    right: float

    def at(self, value: float) -> float:
        """The position of a value; outside the axis, the nearer end."""
        inside = min(max(value, self.low), self.high)
        share = (inside / 2 - self.low / 2) / (self.high / 2 - self.low / 2)
        return self.left + share * (self.right - self.left)

    def holds(self, value: float) -> bool:
        """Whether a value lies on the axis."""
        return self.low <= value <= self.high

    def ticks(self, count: int) -> list[tuple[float, str]]:
        """Round values on the axis, about ``count``, and their labels."""
        extent = self.high - self.low
        power = 10.0 ** math.floor(math.log10(extent / count))
        step = min((size * power for size in (1.0, 2.0, 5.0, 10.0)), key=lambda step: abs(extent / step - count))
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        write = fixed if 1e-5 < step < 1e7 else lambda value, _: number(value)
        return [(index * step, write(index * step, decimals)) for index in range(first, last + 1)]


def axis_range(points: Sequence[float], spans: Sequence[Span]) -> tuple[float, float]:
    """The values that an axis shows, a little more than the data; outliers are left to arrows.

    Args:
        points: values that should be seen.
        spans: intervals; an end that is ``None`` has no bound.
    """
    ends = [end for span in spans for end in span if end is not None]
    widths = [upper - lower for lower, upper in spans if lower is not None and upper is not None]
    everything = [*points, *ends] or [0.0]
    low, high = min(everything), max(everything)
    usual = median(widths) if widths else 0.0
    middle = median(points) if points else 0.0
    reach = FAR_POINT * max(median([abs(point - middle) for point in points] or [0.0]), usual)
    near = [point for point in points if abs(point - middle) <= reach or reach == 0.0]
    tight = [span for span in spans if None not in span and span[1] - span[0] <= WIDE_INTERVAL * usual]  # type: ignore[operator]
    core = near + [end for span in tight for end in span if end is not None and abs(end - middle) <= reach]
    if core and high - low > WORTH_CUTTING * (max(core) - min(core)) > 0:
        low, high = min(core), max(core)
        room = 0.25 * (high - low)  # what is cut is seen to go on
        low, high = low - room * (min(everything) < low), high + room * (max(everything) > high)
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1e-300):
        half = max(abs(low) * 0.5, 1.0) if low else 1.0
        return low - half, high + half
    edge = 0.04 * (high - low)
    return low - edge, high + edge


def canvas(layout: Layout, height: float, identifier: str, title: str, description: str) -> Element:
    """An empty drawing with its text for those who do not see it."""
    name = f"{identifier}-{layout.name}"
    root = ElementTree.Element("svg")
    size = f"0 0 {_text(layout.width)} {_text(height)}"
    for key, value in (("class", layout.name), ("viewBox", size), ("role", "img")):
        root.set(key, value)
    root.set("aria-labelledby", f"{name}-title {name}-description")
    add(root, "title", title, id=f"{name}-title")
    add(root, "desc", description, id=f"{name}-description")
    return root


def add(parent: Element, tag: str, content: str = "", /, **attributes: float | str) -> Element:
    """A child element; ``class_`` and ``text_anchor`` become ``class`` and ``text-anchor``.

    Raises:
        ValueError: a coordinate is not finite.
    """
    child = ElementTree.SubElement(parent, tag)
    for name, value in attributes.items():
        child.set(name.rstrip("_").replace("_", "-"), clean(value) if isinstance(value, str) else _text(value))
    if content:
        child.text = clean(content)
    return child


def markup(root: Element) -> str:
    """The drawing as text to stand in a page."""
    return ElementTree.tostring(root, encoding="unicode")


def clean(text: str) -> str:
    """``text`` without characters that no page may hold."""
    return text.translate(_CONTROL)


def horizontal_axis(root: Element, scale: Scale, layout: Layout, top: float, bottom: float) -> None:
    """Grid lines from ``top`` to ``bottom`` and the values below them."""
    for value, text in scale.ticks(layout.ticks):
        x = scale.at(value)
        add(root, "line", class_="grid", x1=x, y1=top, x2=x, y2=bottom)
        add(root, "text", text, class_="tick", x=x, y=bottom + 16, text_anchor="middle")


def arrow(root: Element, x: float, y: float, direction: int, kind: str) -> None:
    """A head that says: this goes on beyond the axis."""
    back = x - 7.0 * direction
    add(
        root,
        "path",
        class_=kind,
        d=f"M{_text(back)} {_text(y - 4.5)}L{_text(x)} {_text(y)}L{_text(back)} {_text(y + 4.5)}",
    )


def _text(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"a coordinate is {value}")
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
