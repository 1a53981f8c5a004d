"""The bar charts of the report: pure functions from shares to inline SVG."""

from __future__ import annotations

from collections.abc import Sequence

from ai_engine.reports.drawing import LAYOUTS, Element, Layout, Scale, add, canvas, markup
from ai_engine.reports.formats import percent, shorten

SERIES_COLOURS = 6
CHARACTER = 7.2  # width of a character, on the safe side


def share_bars(
    names: Sequence[str],
    series: Sequence[tuple[str, Sequence[float | None]]],
    identifier: str,
    title: str,
    description: str,
) -> str:
    """For each action one bar per policy, as long as its share of the decisions."""
    largest = max((share for _, shares in series for share in shares if share is not None), default=0.0) or 1.0
    drawings = []
    for layout in LAYOUTS:
        bar, gap = 13.0, 12.0
        label_height = 18.0 if layout.stacked else 0.0
        block = label_height + bar * len(series) + gap
        root = canvas(layout, block * len(names), identifier, title, description)
        left, right = layout.left, layout.width - 52.0
        add(root, "line", class_="base", x1=left, y1=0.0, x2=left, y2=block * len(names) - gap + 4)
        for index, name in enumerate(names):
            top = index * block + label_height + 2
            text_y = top - 6 if layout.stacked else top + bar * len(series) / 2 + 4
            _text_label(root, name, layout, text_y)
            for order, (policy, shares) in enumerate(series):
                share, y = shares[index], top + order * bar
                text = percent(share)
                width = (right - left) * max(share or 0.0, 0.0) / largest
                mark = add(root, "g", class_=f"share series-{order % SERIES_COLOURS}")
                add(mark, "title", f"{policy}, {name}: {text}")
                add(mark, "rect", x=left, y=y, width=max(width, 0.5), height=bar - 2, rx=1.5)
                add(mark, "text", text, class_="value", x=left + width + 6, y=y + bar - 3.5)
        drawings.append(markup(root))
    return "".join(drawings)


def step_bars(
    steps: Sequence[tuple[str, float | None]], needed: float, identifier: str, title: str, description: str
) -> str:
    """For each step size the share of the log that speaks for it, and the least share that proves."""
    drawings = []
    for layout in LAYOUTS:
        pitch, top = 24.0, 20.0
        left, right = 70.0, layout.width - 60.0 - layout.right
        height = top + pitch * len(steps)
        root = canvas(layout, height + 4, identifier, title, description)
        scale = Scale(0.0, 1.0, left, right)
        add(root, "text", f"{percent(needed)} needed", class_="tick", x=scale.at(needed), y=12.0, text_anchor="start")
        for index, (name, share) in enumerate(steps):
            y = top + index * pitch
            proven = share is not None and share >= needed
            mark = add(root, "g", class_="reach" if proven else "reach hollow")
            add(mark, "title", f"step {name}: {percent(share)} effective, {'provable' if proven else 'not provable'}")
            add(mark, "text", f"η {name}", class_="label", x=0.0, y=y + 15)
            end = scale.at(share or 0.0)
            add(mark, "rect", x=left, y=y + 4, width=max(end - left, 1.0), height=14.0, rx=2.0)
            crossed = end <= scale.at(needed) < end + 16 + CHARACTER * len(percent(share))
            add(mark, "text", percent(share), class_="value", x=(scale.at(needed) if crossed else end) + 8, y=y + 15)
        line = scale.at(needed)
        add(root, "line", class_="zero", x1=line, y1=top - 4, x2=line, y2=height)
        drawings.append(markup(root))
    return "".join(drawings)


def _text_label(root: Element, name: str, layout: Layout, y: float) -> None:
    if layout.stacked:
        add(root, "text", shorten(name, layout.characters), class_="label", x=0.0, y=y)
    else:
        add(root, "text", shorten(name, layout.characters), class_="label", x=layout.left - 12, y=y, text_anchor="end")
