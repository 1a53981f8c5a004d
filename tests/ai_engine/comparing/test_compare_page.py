"""The page of a comparison: whole, well formed, self-contained, and as honest as its document."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ai_engine.comparing import CompareResult
from ai_engine.comparing.tables import sections
from ai_engine.reports.compare_charts import ValueRow, value_strip
from ai_engine.reports.compare_page import render_comparison, write_comparison
from ai_engine.reports.compare_views import typographic
from algorithms.ope.multiple_testing import BETTER, OPEN, REFUSED, WORSE
from tests.ai_engine.reports.pages import Page
from tune_configs.training import LearningCurve

HOSTILE = "<script>alert(1)</script>'\"&]]>--><svg onload=x()>{{ 7 * 7 }}{% raw %}\x00\x08</style></title>"


def verdicts(result: CompareResult, *given: str) -> CompareResult:
    """The same result with other verdicts on the policies' gains."""
    policies = tuple(
        replace(policy, gain=replace(policy.gain, verdict=verdict))
        for policy, verdict in zip(result.policies, given, strict=True)
    )
    return replace(result, policies=policies)


def test_all_tables_stand_on_the_page_with_every_cell(compared: CompareResult) -> None:
    page = Page(render_comparison(compared))
    text = page.text
    for section in sections(compared):
        assert section.title in text and section.lead in text
        for line in (*section.letters, *section.notes):
            assert typographic(line) in text
        for cell in {cell for row in section.rows for cell in row}:
            assert " ".join(typographic(cell).split()) in text
    assert compared.sentence in text
    assert "−" in text and not re.search(r"(?<![\w)“.])-\d", text)


def test_every_section_is_linked_and_every_drawing_has_words(compared: CompareResult) -> None:
    page = Page(render_comparison(compared))
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    links = {attributes["href"][1:] for tag, attributes in page.elements if tag == "a"}
    assert links == {attributes["id"] for tag, attributes in page.elements if tag == "section"}
    drawings = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert {"wide", "narrow"} == {attributes["class"] for attributes in drawings}
    assert len(drawings) == 2 * 7  # gains, estimators, regions, segments, overlap, weights, actions
    assert all(set(attributes["aria-labelledby"].split()) <= set(identifiers) for attributes in drawings)


def test_the_page_loads_nothing_and_runs_nothing(compared: CompareResult) -> None:
    page = Page(render_comparison(compared))
    assert not {tag for tag, _ in page.elements} & {"script", "iframe", "img", "object", "form"}
    references = [a[name] for _, a in page.elements for name in ("src", "href", "action") if name in a]
    assert all(reference.startswith(("#", "data:")) for reference in references)
    (policy,) = [a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


def test_hostile_texts_stay_texts(compared: CompareResult) -> None:
    document = json.loads(json.dumps(compared.to_json()))

    def poison(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: value[key] if key in ("verdict", "evidence") else poison(value[key]) for key in value}
        if isinstance(value, list):
            return [poison(item) for item in value]
        return HOSTILE if isinstance(value, str) else value

    page = Page(render_comparison(CompareResult.from_json(poison(document))))
    assert not {tag for tag, _ in page.elements} & {"script", "iframe"}
    assert "alert(1)" in page.text and "{{ 7 * 7 }}" in page.text
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ((BETTER, WORSE), "promote"),
        ((OPEN, WORSE), "inconclusive"),
        ((WORSE, WORSE), "keep"),
        ((REFUSED, REFUSED), "refused"),
        ((REFUSED, BETTER), "promote"),
    ],
)
def test_the_outcome_is_said_by_colour_and_by_words(compared: CompareResult, given: tuple[str, str], kind: str) -> None:
    result = verdicts(compared, *given)
    page = Page(render_comparison(result))
    assert {"outcome", kind} in page.classes("div")
    assert result.sentence in page.text


def test_a_model_speaks_hollow_and_what_is_not_known_is_not_drawn(compared: CompareResult) -> None:
    refused = replace(compared.policies[0].gain.estimate, refused="overlap too small")
    policies = [
        replace(policy, gain=replace(policy.gain, verdict=REFUSED, estimate=refused)) for policy in compared.policies
    ]
    only_model = replace(compared, policies=(replace(policies[0], model_gain=0.25), policies[1]))
    text = Page(render_comparison(only_model)).text
    assert "Only a model speaks" in text and "model +0.25" in text
    silent = replace(compared, policies=tuple(replace(policy, model_gain=float("nan")) for policy in policies))
    page = Page(render_comparison(silent))
    assert "Nothing speaks" in page.text and "model +" not in page.text


def test_learning_curves_are_drawn_where_they_are_known(compared: CompareResult) -> None:
    assert "Learning curves" not in Page(render_comparison(compared)).text
    curve = LearningCurve("evaluation_return", (1.0, float("nan"), 2.5))
    known = replace(
        compared, policies=(replace(compared.policies[0], algorithm="ppo", curve=curve), compared.policies[1])
    )
    text = Page(render_comparison(CompareResult.from_json(json.loads(json.dumps(known.to_json()))))).text
    assert "Learning curves" in text and "ppo: evaluation return" in text


def test_the_page_is_written_whole(compared: CompareResult, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")
    write_comparison(compared, path)
    assert path.read_text(encoding="utf-8") == compared.to_html()
    assert [item.name for item in tmp_path.iterdir()] == ["page.html"]


def test_intervals_are_drawn_to_scale() -> None:
    rows = [
        ValueRow("ips", "a", 1.0, 0.0, 2.0, False, "1 (0 to 2)"),
        ValueRow("dm", "a", 2.0, None, None, True, "2 model"),
        ValueRow("ips", "b", 3.0, 2.0, 4.0, False, "3 (2 to 4)"),
    ]
    page = Page(value_strip(rows, "values", "Values"))
    bands = [a for tag, a in page.elements if tag == "rect"]
    lines = [a for tag, a in page.elements if tag == "line" and a["class"] == "estimate"]
    assert len(bands) == 2 * 2 and len(lines) == 2 * 3  # for two layouts
    for layout in range(2):
        first, second = bands[2 * layout : 2 * layout + 2]
        assert float(first["width"]) == pytest.approx(float(second["width"]), abs=0.02)
        one, two, three = (float(a["x1"]) for a in lines[3 * layout : 3 * layout + 3])
        assert two - one == pytest.approx(three - two, abs=0.02)
        assert one == pytest.approx(float(first["x"]) + float(first["width"]) / 2, abs=0.02)
        assert two == pytest.approx(float(first["x"]) + float(first["width"]), abs=0.02)
    assert page.text.count("Values") == 2
