"""The drawings: finite whatever the numbers, hollow where only a model speaks, not torn by outliers."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ai_engine.reports import render_report
from ai_engine.reports.drawing import WIDE, Scale, axis_range
from tests.ai_engine.reports.pages import REASON, Page, document, estimate, variant


def drawn(html: str, kind: str) -> list[str]:
    """The groups of a kind in the wide drawings."""
    wide = "".join(re.findall(r'<svg class="wide".*?</svg>', html, re.DOTALL))
    return re.findall(rf'<g class="{kind}[^"]*">.*?</g>', wide, re.DOTALL)


def test_refused_variants_are_hollow_at_the_gain_of_the_model() -> None:
    several = [variant(1, 0.0), variant(2, 0.42), variant(3, None), variant(4, None, model_gain=0.42)]
    marks = drawn(render_report(document(variants=several, reveal=[])), "gain")
    solid, hollow = [m for m in marks if "hollow" not in m], [m for m in marks if "hollow" in m]
    assert len(solid) == 2 and len(hollow) == 2
    assert all(">model<" in mark for mark in hollow) and not any(">model<" in mark for mark in solid)
    assert all('class="span"' in mark for mark in solid) and not any('class="span"' in mark for mark in hollow)
    place = [float(re.search(r'cx="([\d.]+)"', mark)[1]) for mark in (*solid, *hollow)]  # type: ignore[index]
    assert place[0] == pytest.approx(place[2], abs=0.01), "0.42 stands where 0.42 stands"
    assert place[0] > place[3] > place[1], "0.21 of the model stands between 0 and 0.42"


def test_a_gain_that_only_a_model_claims_is_hollow_without_any_refusal() -> None:
    claimed = variant(1) | {"gain": estimate(0.3, 0.1, evidence="model"), "model_gain": None}
    assert "hollow" in drawn(render_report(document(variants=[claimed])), "gain")[0]


def test_variants_are_sorted_by_their_lower_end_and_the_models_follow() -> None:
    several = [
        variant(1, None, model_gain=9.0),
        variant(2, 0.5, 0.6),
        variant(3, 0.2, 0.1),
        variant(4, None, model_gain=9.5),
    ]
    html = render_report(document(variants=several))
    order = re.findall(r'<th scope="row">(\d+)\b', html)
    assert order == ["3", "2", "4", "1"]
    assert [re.search(r"<title>(\d+)", mark)[1] for mark in drawn(html, "gain")] == order  # type: ignore[index]


shown = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.floats(-1.0, 1.0))


@settings(max_examples=60, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    gains=st.lists(st.tuples(shown, shown, shown, shown, st.booleans()), max_size=8),
    truths=st.lists(st.tuples(*[shown] * 7), max_size=4),
    shares=st.lists(shown, min_size=1, max_size=4),
)
def test_whatever_the_numbers_the_page_is_well_formed_and_its_drawings_finite(
    gains: list[tuple[Any, ...]], truths: list[tuple[Any, ...]], shares: list[float | None]
) -> None:
    keys = ("estimate", "lower", "upper", "pool", "pool_error", "unseen", "unseen_error")
    variants = [
        variant(i, model_gain=m) | {"gain": {"value": v, "lower": a, "upper": b, "refused": REASON if r else ""}}
        for i, (v, a, b, m, r) in enumerate(gains)
    ]
    page = document(
        variants=variants,
        reveal=[dict(zip(keys, row, strict=True)) for row in truths],
        actions={"names": [f"a{i}" for i in range(len(shares))], "series": [{"policy": "p", "shares": shares}]},
        card={"grade": "C", "provable_steps": [[share, share] for share in shares]},
    )
    parsed = Page(render_report(page))
    assert not re.search(r"\b(nan|inf|None|undefined)\b", parsed.text, re.IGNORECASE)
    for (tag, attributes), parents in zip(parsed.elements, parsed.parents, strict=True):
        if "svg" not in parents:
            continue
        for name in {"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height"} & set(attributes):
            assert math.isfinite(float(attributes[name])) and -20 <= float(attributes[name]) <= 1e4, (tag, attributes)
        assert float(attributes.get("width", 0)) >= 0


def test_outliers_become_arrows_and_leave_the_axis_to_the_others() -> None:
    usual = [variant(i, 0.1 * i, 0.1) for i in range(4)]
    html = render_report(document(variants=[*usual, variant(5, 0.2, 300.0), variant(6, -1e6, 0.1)]))
    marks = drawn(html, "gain")
    circles = [float(found[1]) for mark in marks if (found := re.search(r'<circle[^>]*cx="([\d.]+)"', mark))]
    heads = {re.search(r"<title>(\d+)", mark)[1]: mark.count('class="head"') for mark in marks}  # type: ignore[index]
    assert heads == {"0": 0, "1": 0, "2": 0, "3": 0, "5": 2, "6": 1}
    assert max(circles) - min(circles) > 0.25 * (WIDE.width - WIDE.left - WIDE.right)


def test_an_axis_without_outliers_holds_everything() -> None:
    low, high = axis_range([0.0, 0.3, -0.1], [(0.1, 0.5), (-0.3, 0.1)])
    assert low <= -0.3 and high >= 0.5
    scale = Scale(low, high, 0.0, 100.0)
    assert all(scale.holds(value) for value, _ in scale.ticks(5))
    assert all(float(text.replace("−", "-")) == pytest.approx(value) for value, text in scale.ticks(5))


@pytest.mark.parametrize("count", [0, 1, 30])
def test_any_number_of_variants(count: int) -> None:
    html = render_report(document(variants=[variant(i, 0.01 * i) for i in range(count)]))
    assert len(drawn(html, "gain")) == count
    assert ("No variant was trained" in html) == (count == 0)


def test_many_actions_are_all_in_the_table_and_the_most_shifted_are_drawn() -> None:
    names = [f"action-{i}" for i in range(80)]
    series = [{"policy": "p", "shares": [1 / 80] * 80}, {"policy": "q", "shares": [0.0] * 79 + [1.0]}]
    html = render_report(document(actions={"names": names, "series": series}))
    assert len(drawn(html, "share")) == 2 * 24 and any("action-79" in mark for mark in drawn(html, "share"))
    assert all(f">{name}<" in html for name in names)


def test_the_drawing_names_only_the_settings_that_differ() -> None:
    several = [variant(i, 0.1 * i, hyperparameters={"cells": 10 + i, "sweeps": 7}) for i in range(2)]
    notes = re.findall(r'class="note"[^>]*>([^<]*)<', render_report(document(variants=several)))
    assert notes == ["cells 11", "cells 10"]


def test_figures_that_stand_above_are_not_repeated_in_the_card() -> None:
    figures = {"agent": "scaling", "train_episodes": 20, "open_episodes": 3}
    page = Page(render_report(document(figures={"train episodes": "20"}, card={"grade": "A", "figures": figures})))
    assert page.text.count("train episodes") == 1 and page.text.count("open episodes") == 1
