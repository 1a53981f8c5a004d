"""The chart that only the data card has: how quantities went in the course of a log, a panel for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ai_engine.reports.drawing import LAYOUTS, Element, Scale, add, canvas, markup
from ai_engine.reports.formats import number, shorten

PANEL_HEIGHT, HEADING, TICKS = 150.0, 28.0, 52.0
CHARACTER = 7.0


def course_panels(courses: Sequence[Any], periods: Sequence[str], identifier: str, title: str) -> str:
    """For each quantity its median over the periods and the band of its middle half.

    Args:
        courses: :class:`envs.card.portrait.Course` of each quantity.
        periods: when each period begins.
        identifier: of the drawing in the page.
        title: of the drawing.
    """
    text = "; ".join(f"{course.name}: {_ends(course)}" for course in courses)
    drawings = []
    for layout in LAYOUTS:
        columns = 1 if layout.stacked else 2
        width = layout.width / columns
        root = canvas(layout, PANEL_HEIGHT * -(-len(courses) // columns), identifier, title, text)
        for index, course in enumerate(courses):
            _panel(root, course, periods, (index % columns * width, index // columns * PANEL_HEIGHT), width)
        drawings.append(markup(root))
    return "".join(drawings)


def _panel(root: Element, course: Any, periods: Sequence[str], corner: tuple[float, float], width: float) -> None:
    left, top = corner[0] + TICKS, corner[1] + HEADING
    right, bottom = corner[0] + width - 24.0, corner[1] + PANEL_HEIGHT - 32.0
    values = [value for line in (course.low, course.middle, course.high) for value in line if value is not None]
    edge = 0.05 * (max(values) - min(values)) or max(0.05 * abs(max(values)), 1e-9)
    across = Scale(0.0, float(max(len(periods) - 1, 1)), left, right)
    up = Scale(min(values) - edge, max(values) + edge, bottom, top)
    unit = f" ({course.unit})" if course.unit else ""
    heading = shorten(f"{course.name}{unit}", int((width - TICKS) / CHARACTER))
    add(root, "text", heading, class_="group", x=corner[0], y=corner[1] + 14.0)
    for value, tick in up.ticks(3):
        add(root, "line", class_="grid", x1=left, y1=up.at(value), x2=right, y2=up.at(value))
        add(root, "text", tick, class_="tick", x=left - 8, y=up.at(value) + 4, text_anchor="end")
    add(root, "text", periods[0], class_="tick", x=left, y=bottom + 16)
    add(root, "text", periods[-1], class_="tick", x=right, y=bottom + 16, text_anchor="end")
    mark = add(root, "g", class_="truth curve marked")
    add(mark, "title", f"{course.name}: {_ends(course)}")
    known = [place for place, value in enumerate(course.middle) if value is not None]
    lower = [(across.at(place), up.at(course.low[place])) for place in known]
    upper = [(across.at(place), up.at(course.high[place])) for place in known]
    add(mark, "polygon", class_="band", points=" ".join(f"{x:.2f},{y:.2f}" for x, y in [*lower, *reversed(upper)]))
    line = "L".join(f"{across.at(place):.2f} {up.at(course.middle[place]):.2f}" for place in known)
    add(mark, "path", d=f"M{line}")


def _ends(course: Any) -> str:
    known = [value for value in course.middle if value is not None]
    return f"{number(known[0])} to {number(known[-1])}"
