"""The report page: complete, well formed, self-contained, safe against hostile texts, honest about models."""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ai_engine.reports import ReportDocument, render_report, write_report
from ai_engine.reports.views import outcome_view
from envs.errors import DataError
from tests.ai_engine.reports.pages import REASON, Page, document, estimate, variant


def numbers_in(text: str) -> list[float]:
    """Every number that stands in a text, as a reader reads it."""
    pattern = r"([+−]?)(\d[\d,]*(?:\.\d+)?(?:e−?\d+)?)"
    signs = ((sign, float(digits.replace(",", "").replace("−", "-"))) for sign, digits in re.findall(pattern, text))
    return [-value if sign == "−" else value for sign, value in signs]


def shows(found: list[float], value: float, half: float = 0.0) -> bool:
    """Whether a value is among numbers that were rounded sensibly: to .5 %, or to 6 % of its uncertainty."""
    return any(abs(value - other) <= max(0.0051 * abs(value), 0.06 * half) for other in found)


sizes = st.floats(-3.0, 5.0).map(lambda power: 10.0**power)


@st.composite
def estimates(draw: st.DrawFn) -> dict[str, Any]:
    half = draw(sizes)
    value = draw(st.floats(-50.0, 50.0)) * half
    return estimate(value, half, effective_sample_size=draw(st.floats(1.0, 9e6)), confidence=draw(st.floats(0.5, 0.99)))


@settings(max_examples=40, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(data=st.data())
def test_every_number_of_the_document_stands_on_the_page(data: st.DataObject) -> None:
    draw, share = data.draw, st.floats(0.001, 0.999)
    gains, values, gate = draw(estimates()), draw(estimates()), draw(estimates())
    learning_rate, step, needs, alpha = draw(sizes), draw(share), draw(sizes), draw(share)
    shares, reach, figure, truth, error = (
        draw(st.tuples(share, share)),
        draw(share),
        draw(sizes),
        draw(sizes),
        draw(share),
    )
    page = document(
        seed=draw(st.integers(0, 10**9)),
        figures={"something": figure, "counted": draw(st.integers(0, 10**12))},
        card={"grade": "B", "figures": {"other": -figure}, "provable_steps": [[step, reach]]},
        variants=[
            variant(11, hyperparameters={"learning_rate": learning_rate}, gain=0.0, step=step)
            | {"gain": gains, "estimate": values, "model_gain": gains["value"] / 2}
        ],
        gate={
            "decision": "inconclusive",
            "version": "11",
            "reason": "",
            "needs": {"decisions": round(1e3 * needs), "seconds": 1e4 * needs, "explore": shares[0]},
            "estimate": gate,
            "alpha": alpha,
            "look": 2,
        },
        actions={"names": ["a", "b"], "series": [{"policy": "p", "shares": list(shares)}]},
        reveal=[
            {"policy": "q", "estimate": values["value"], "lower": values["lower"], "upper": values["upper"]}
            | {"evidence": "log", "pool": truth, "pool_error": error, "unseen": -truth, "unseen_error": error / 2}
        ],
    )
    text = Page(render_report(page)).text
    found = numbers_in(text)
    for shown in (gains, values, gate):
        half = (shown["upper"] - shown["lower"]) / 2
        assert all(shows(found, shown[key], half) for key in ("value", "lower", "upper"))
        assert shows(found, shown["effective_sample_size"]) and shows(found, 100 * shown["confidence"])
    assert shows(found, gains["value"] / 2, (gains["upper"] - gains["lower"]) / 2)
    assert all(shows(found, 100 * part) for part in (*shares, reach))
    assert f"learning_rate {learning_rate} " in text
    assert all(shows(found, value) for value in (step, figure, -figure, alpha, page.seed, page.figures["counted"]))
    assert shows(found, truth, error) and shows(found, -truth, error / 2) and shows(found, error, error)
    assert shows(found, page.gate["needs"]["decisions"])  # type: ignore[index]
    seconds = page.gate["needs"]["seconds"]  # type: ignore[index]
    assert any(shows(found, seconds / unit) for unit in (1.0, 60.0, 3600.0, 86_400.0))


def test_all_texts_and_sections_stand_on_the_page_in_order() -> None:
    page = Page(render_report(document()))
    texts = ["Retraining scaling", "promote", "Version 4 is the champion.", "retrainer promote scaling@6",
             "Key figures", "rule-1", "Data grade", "The log is short.", "Intervals are wide.", "Log more decisions.",
             "Explore a little more.", "Variants", REASON, "Gate", "The gain is shown.", "Action shift", "down",
             "Truth beside estimate", "How to read this page", "Effective sample size"]  # fmt: skip
    places = []
    for text in texts:
        places.append(page.text.find(text, places[-1] if places else 0))
        assert places[-1] >= 0, f"{text!r} is missing, or before what it should follow"


@pytest.mark.parametrize("decision", ["promote", "canary", "keep", "inconclusive", "refused"])
def test_the_decision_is_said_by_colour_and_by_text(decision: str) -> None:
    gate = {"decision": decision, "reason": "because"}
    page = Page(render_report(document(gate=gate)))
    assert {"badge", decision} in page.classes("span")
    assert decision in page.text


HOSTILE = "<script>alert(1)</script>'\"&]]>--><svg onload=x()>{{ 7 * 7 }}{% raw %}\x00\x08\ud800</style></title>"


def poisoned(value: Any) -> Any:
    """Every text and every key that is a label, replaced by a hostile one."""
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    if isinstance(value, dict):
        labels = "cells" in value or "smallest_propensity" in value or "behaviour policy" in value
        return {(HOSTILE + key if labels else key): poisoned(item) for key, item in value.items()}
    return value


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    hostile = ReportDocument.from_json({**poisoned(document().to_json()), "schema_version": 1})
    html = render_report(hostile)
    page = Page(html)
    assert "script" not in {tag for tag, _ in page.elements}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert len(page.classes("svg")) == len(Page(render_report(document())).classes("svg"))
    assert "<script>alert(1)</script>" in page.text and "{{ 7 * 7 }}" in page.text and "49" not in page.text
    assert not re.search("[\x00-\x08\x7f\ud800-\udfff]", html)
    write_report(hostile, tmp_path / "report.html")


def test_the_page_is_self_contained() -> None:
    html = render_report(document())
    page = Page(html)
    assert "://" not in html and "@import" not in html and not re.search(r"url\(", html)
    for tag, attributes in page.elements:
        assert tag not in {"script", "iframe", "object", "embed", "base", "form"}
        for name in {"src", "href", "xlink:href", "action", "srcset"} & set(attributes):
            assert attributes[name].startswith(("#", "data:")), (tag, attributes)
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and "script-src" not in policy


def test_the_page_names_its_parts_for_those_who_do_not_see_it() -> None:
    page = Page(render_report(document()))
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    for _, attributes in page.elements:
        for name in attributes.get("aria-labelledby", "").split():
            assert name in identifiers
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in identifiers
    for (tag, attributes), parents in zip(page.elements, page.parents, strict=True):
        assert tag != "svg" or (attributes["role"] == "img" and attributes["aria-labelledby"])
        assert tag != "th" or attributes["scope"] in {"col", "row"}
        assert tag != "table" or "div" in parents  # it scrolls inside its own box
    assert page.elements[0] == ("html", {"lang": "en"})


def test_a_document_with_nothing_but_its_name_has_a_page() -> None:
    page = ReportDocument("t", "", "s", "a", "r", 0, {}, {}, [])
    text = Page(render_report(page)).text
    assert "not gated" in text and "No gate was run" in text and "Truth beside" not in text


def test_json_round_trip_is_strict_and_keeps_the_page() -> None:
    original = document(variants=[variant(1, model_gain=np.float64(0.2), seeds=np.array([0, 1]))])
    text = json.dumps(original.to_json(), allow_nan=False)
    assert ReportDocument.from_json(json.loads(text)) == original
    assert render_report(ReportDocument.from_json(json.loads(text))) == render_report(original)
    assert document(reveal=[{"pool": math.nan, "upper": math.inf}]).reveal == [{"pool": None, "upper": None}]


@pytest.mark.parametrize(
    ("change", "named"),
    [({"variants": {}}, "variants"), ({"seed": "x"}, "seed"), ({"gate": []}, "gate"),
     ({"card": {"x": object()}}, "card.x"),
     ({"actions": {"names": ["a"], "series": [{"policy": "p", "shares": []}]}}, "actions.series"),
     ({"schema_version": 9}, "schema_version")],
)  # fmt: skip
def test_a_wrong_document_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    with pytest.raises(DataError, match=named):
        document(**change)
    with pytest.raises(DataError, match="title"):
        ReportDocument.from_json({})


def test_writing_replaces_the_page_at_once_and_leaves_the_old_one_on_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs" / "1" / "report.html"
    write_report(document(title="first"), path)
    first = path.read_text("utf-8")
    assert first == render_report(document(title="first"))

    def fail(source: Any, target: Any) -> None:
        assert Path(target) == path and path.read_text("utf-8") == first  # still the old page, complete
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_report(document(title="second"), path)
    monkeypatch.undo()
    assert path.read_text("utf-8") == first and [entry.name for entry in path.parent.iterdir()] == ["report.html"]
    write_report(document(title="second"), path)
    assert "second" in path.read_text("utf-8")


def test_a_range_over_models_claims_no_confidence() -> None:
    ranged = estimate(-3.0, 0.4, estimator="models", confidence=0.0, evidence="model")
    text = Page(render_report(document(variants=[variant(1), variant(2) | {"estimate": ranged}]))).text
    assert "value by models" in text and "models, 0" not in text


def test_the_columns_of_the_variants_have_names_of_their_own() -> None:
    page = Page(render_report(document()))
    assert "Effective sample of the gain Model" in page.text and "Effective sample of the value" in page.text


def test_a_pass_says_nothing_of_a_champion_who_may_have_moved_already() -> None:
    view = outcome_view({"decision": "promote"})
    assert "proved the gain" in view["meaning"] and "champion" not in view["meaning"]
