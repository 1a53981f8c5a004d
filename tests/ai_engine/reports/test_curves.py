"""Learning curves: a panel for each algorithm and metric, whole lines, the recommendation on top, numbers too."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from ai_engine.reports import render_report
from ai_engine.reports.curves import curves_view
from tests.ai_engine.reports.pages import Page, document, variant


def trained(version: int, algorithm: str, values: list[float | None], **more: Any) -> dict[str, Any]:
    curve = {"metric": "model_return", "values": values}
    return variant(version) | {"algorithm": algorithm, "curve": curve, "model_gain": 0.0, **more}


def lines(html: str, layout: str = "wide") -> list[tuple[str, list[tuple[float, float]]]]:
    """Name and places of each drawn curve."""
    (figure,) = re.findall(rf'<svg class="{layout}"[^>]*aria-labelledby="curves-.*?</svg>', html, re.DOTALL)
    found = re.findall(r'<g class="(curve[^"]*)"><title>([^:]*):.*?d="M([^"]*)"', figure)
    return [
        (f"{kind}: {name}", [tuple(map(float, place.split())) for place in path.split("L")])  # type: ignore[misc]
        for kind, name, path in found
    ]


def test_a_curve_is_drawn_whole_and_upwards_is_more() -> None:
    several = [
        trained(1, "ppo", [-90.0, -2.0, -1.0, -1.5]),
        trained(2, "ppo", [-3.0, None, -2.0], recommended=True),
        trained(3, "dqn", [4.0, 2.0]),
        trained(4, "tabular_q", [7.0]),
        variant(5),
    ]
    html = render_report(document(variants=several))
    drawn = lines(html)
    assert [name for name, _ in drawn] == ["curve: 3 dqn η 0.25", "curve: 1 ppo η 0.25", "curve marked: 2 ppo η 0.25"]
    places = dict(drawn)
    first = places["curve: 1 ppo η 0.25"]
    assert len(first) == 4 and len(places["curve marked: 2 ppo η 0.25"]) == 2
    heights = [y for _, y in first]
    assert heights[0] > heights[1] > heights[3] > heights[2], "the page's y grows downwards; the start is not cut off"
    steps = [b[0] - a[0] for a, b in pairwise(first)]
    assert max(steps) - min(steps) < 0.02 and min(steps) > 0
    # One scale for a panel: the second variant ends, by its third iteration, where the first was at -2.
    assert places["curve marked: 2 ppo η 0.25"][1] == (first[2][0], first[1][1])
    text = Page(html).text
    assert "1 of 4 were done after one iteration and draw no line" in text
    assert "ppo: model return" in text
    assert [len(path) for _, path in lines(html, "narrow")] == [2, 4, 2]


def test_the_numbers_beside_the_drawing_are_the_curves_own() -> None:
    view = curves_view([trained(1, "ppo", [-3.0, -1.0, -2.0])])
    assert view is not None
    assert view["rows"] == [("1 ppo η 0.25", "ppo: model return", "3", "−3", "−2", "−3", "−1")]


def test_without_a_curve_there_is_no_section() -> None:
    assert curves_view([variant(1), trained(2, "ppo", [])]) is None
    assert 'id="curves"' not in render_report(document())


def test_a_curve_that_does_not_move_is_drawn() -> None:
    ((_, places),) = lines(render_report(document(variants=[trained(1, "dqn", [0.0, 0.0])])))
    assert places[0][1] == places[1][1]
