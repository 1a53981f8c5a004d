"""The learning curves of the report: a panel for each algorithm, a line for each variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ai_engine.reports.drawing import LAYOUTS, Element, Layout, Scale, add, canvas, markup
from ai_engine.reports.formats import DASH, finite, label, number, shorten

Data = Mapping[str, Any]
PANEL_HEIGHT = 190.0
HEADING = 28.0
TICKS = 52.0  # room for the values left of a panel
CHARACTER = 7.0


@dataclass(frozen=True, slots=True)
class Curve:
    """One variant's training.

    Attributes:
        name: of the variant.
        panel: algorithm and metric.
        values: of the metric, one for each iteration; ``None`` where unknown.
        marked: whether it is the recommendation.
    """

    name: str
    panel: str
    values: tuple[float | None, ...]
    marked: bool


def curves_view(variants: Sequence[Data]) -> dict[str, Any] | None:
    """The drawing of all curves and the same in numbers; ``None`` where nothing was trained step by step."""
    curves = [curve for curve in map(_curve, variants) if curve is not None]
    if not curves:
        return None
    rows = []
    for curve in curves:
        known = [value for value in curve.values if value is not None]
        first, last = (number(known[0]), number(known[-1])) if known else (DASH, DASH)
        lowest, highest = (number(min(known)), number(max(known))) if known else (DASH, DASH)
        rows.append((curve.name, curve.panel, str(len(curve.values)), first, last, lowest, highest))
    lines = [curve for curve in curves if sum(value is not None for value in curve.values) > 1]
    return {"rows": rows, "drawing": _drawing(lines) if lines else "", "lines": len(lines), "count": len(curves)}


def _curve(row: Data) -> Curve | None:
    curve = row.get("curve") or {}
    values = tuple(finite(value) for value in curve.get("values") or [])
    if not values:
        return None
    version = str(row.get("version") or DASH)
    name = f"{version} {row.get('algorithm') or DASH} η {number(row.get('step'))}"
    panel = f"{row.get('algorithm') or DASH}: {label(str(curve.get('metric') or ''))}"
    return Curve(name, panel, values, bool(row.get("recommended")))


def _drawing(curves: Sequence[Curve]) -> str:
    panels: dict[str, list[Curve]] = {}
    for curve in sorted(curves, key=lambda curve: curve.marked):  # the recommendation is drawn last, on top
        panels.setdefault(curve.panel, []).append(curve)
    text = "; ".join(f"{curve.name}: {number(curve.values[0])} to {number(curve.values[-1])}" for curve in curves)
    drawings = []
    for layout in LAYOUTS:
        columns = 1 if layout.stacked else 2
        width = layout.width / columns
        rows = -(-len(panels) // columns)
        root = canvas(layout, PANEL_HEIGHT * rows, "curves", "Learning curves by algorithm", text)
        for index, (title, members) in enumerate(sorted(panels.items())):
            corner = (index % columns * width, index // columns * PANEL_HEIGHT)
            _panel(root, layout, title, members, corner, width)
        drawings.append(markup(root))
    return "".join(drawings)


def _panel(
    root: Element, layout: Layout, title: str, curves: Sequence[Curve], corner: tuple[float, float], width: float
) -> None:
    left, top = corner[0] + TICKS, corner[1] + HEADING
    right, bottom = corner[0] + width - 24.0, corner[1] + PANEL_HEIGHT - 34.0
    values = [value for curve in curves for value in curve.values if value is not None]
    low, high = min(values), max(values)  # how it began is part of a curve, however far off that was
    edge = 0.05 * (high - low) or max(0.05 * abs(high), 1e-9)
    longest = max(len(curve.values) for curve in curves)
    across = Scale(1.0, float(max(longest, 2)), left, right)
    up = Scale(low - edge, high + edge, bottom, top)
    shown = shorten(title, int(width / CHARACTER))
    add(root, "text", shown, class_="group", x=corner[0], y=corner[1] + 14.0)
    for value, tick in up.ticks(3):
        add(root, "line", class_="grid", x1=left, y1=up.at(value), x2=right, y2=up.at(value))
        add(root, "text", tick, class_="tick", x=left - 8, y=up.at(value) + 4, text_anchor="end")
    for iteration in (1, longest):
        anchor = "start" if iteration == 1 else "end"
        add(root, "text", str(iteration), class_="tick", x=across.at(iteration), y=bottom + 16, text_anchor=anchor)
    add(root, "text", "iteration", class_="tick", x=(left + right) / 2, y=bottom + 16, text_anchor="middle")
    for curve in curves:
        mark = add(root, "g", class_="curve marked" if curve.marked else "curve")
        add(mark, "title", f"{curve.name}: {number(curve.values[0])} to {number(curve.values[-1])}")
        places = [(across.at(i), up.at(v)) for i, v in enumerate(curve.values, start=1) if v is not None]
        path = "L".join(f"{x:.2f} {y:.2f}" for x, y in places)
        add(mark, "path", d=f"M{path}")
        add(mark, "circle", cx=places[-1][0], cy=places[-1][1], r=3.0)
