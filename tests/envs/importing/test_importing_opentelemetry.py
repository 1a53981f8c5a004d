"""OpenTelemetry: files that its SDK wrote (tests/data/importing), and spans that are not as they should be."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from envs.errors import DataError
from envs.home import Home
from envs.importing.importer import import_files
from envs.importing.span_presets import PRESETS
from envs.journal.journal import Journal
from envs.journal.reading import LogReader
from tests.envs.importing.import_reading import DATA, good, outcomes, problems, read, records
from tests.envs.importing.import_samples import jsonl, refused

SPANS, LOGS = DATA / "opentelemetry_spans.jsonl", DATA / "opentelemetry_logs.jsonl"


def test_spans_with_our_attributes_are_decisions() -> None:
    decisions = records(good(read(SPANS, "opentelemetry")))
    assert [decision.action for decision in decisions] == ["small", "large", "small", "large"]
    for place, decision in enumerate(decisions):
        assert decision.event_id == f"feed{2 * place + 1:028x}/abcd{2 * place + 2:012x}"
        assert decision.timestamp == f"2026-01-01T00:0{place}:00Z"
        assert decision.observation == {
            "length": 100 * place,
            "load": 0.5 + place,
            "premium": place == 1,
            "last_scores": {"0": 0.5, "1": 0.25 * place},
        }
        assert decision.propensity == (0.25 if place % 2 else 0.75)
        assert decision.action_probabilities == {"small": 0.75, "large": 0.25}
        assert decision.allowed_actions == ["small", "large"] and decision.policy_version == "rule-1"
        success = place != 3
        assert decision.outcome == {"cost": 0.125 * (place + 1), "execution_time": 2.5, "success": success}
        assert not decision.terminated and decision.is_single


@pytest.mark.parametrize("end", ["0", "1767225599999999999"])
def test_a_span_that_ends_before_it_starts_does_not_say_how_long_it_took(tmp_path: Path, end: str) -> None:
    line = json.loads(SPANS.read_text().splitlines()[0])
    for resource in line["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                span["endTimeUnixNano"] = end
    decisions = records(good(read(jsonl(tmp_path / "spans.jsonl", [line]), "opentelemetry")))
    assert decisions and all("execution_time" not in (decision.outcome or {}) for decision in decisions)


def test_evaluations_are_outcomes_of_the_spans_they_are_about() -> None:
    decisions = [decision.event_id for decision in records(good(read(SPANS, "opentelemetry")))]
    told = outcomes(good(read(SPANS, "opentelemetry")) + good(read(LOGS, "opentelemetry")))
    assert [(decisions.index(event.decision_id), event.outcome, event.timestamp) for event in told] == [
        (0, {"relevance": 0.5}, "2026-01-01T00:00:01Z"),  # an event in the span
        (0, {"safety_label": "pass"}, "2026-01-01T01:00:01Z"),  # a span with links
        (1, {"safety_label": "pass"}, "2026-01-01T01:00:01Z"),
        (2, {"helpfulness": 4.0}, "2026-01-01T02:00:00Z"),  # a log record in the span's context
    ]


def test_joined_through_the_importer(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    assert import_files(home, "router", [SPANS, LOGS], format_name="opentelemetry").rejected == []
    with Journal(home.journal_path) as journal:
        joined = [record for _, record in LogReader(journal, "router")]
    assert [len(record.outcome or {}) for record in joined] == [5, 4, 4, 3]
    assert joined[0].outcome == {
        "cost": 0.125,
        "execution_time": 2.5,
        "success": True,
        "relevance": 0.5,
        "safety_label": "pass",
    }


def test_evaluations_that_meet_no_decision_are_counted_and_kept(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    assert import_files(home, "router", [SPANS, LOGS], format_name="opentelemetry", dry_run=True).unmet == 0
    report = import_files(home, "router", [LOGS], format_name="opentelemetry")
    assert (report.rows, report.added, report.unmet) == (1, 1, 1)
    assert import_files(home, "router", [SPANS], format_name="opentelemetry").unmet == 0
    with Journal(home.journal_path) as journal:
        assert next(record for _, record in LogReader(journal, "router") if record.action == "small").outcome or {}


def test_an_evaluation_in_a_span_that_is_about_nothing_is_not_lost(tmp_path: Path) -> None:
    request = json.loads(SPANS.read_text().splitlines()[0])
    spans = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
    (root,) = [span for span in spans if span.get("events")][:1]
    root["attributes"] = [pair for pair in root["attributes"] if not pair["key"].startswith("retrainer.")]
    root.pop("parentSpanId", None)
    root.pop("links", None)
    spans[:] = [root]
    home = Home.create(tmp_path / "home")
    report = import_files(home, "router", [jsonl(tmp_path / "s.jsonl", [request])], format_name="opentelemetry")
    assert (report.rows, report.added, report.unmet) == (1, 1, 1)
    (event,) = outcomes(good(read(jsonl(tmp_path / "s.jsonl", [request]), "opentelemetry")))
    assert event.decision_id == f"{root['traceId']}/{root['spanId']}" and event.outcome == {"relevance": 0.5}


def test_model_calls_by_the_semantic_conventions() -> None:
    decisions = records(good(read(SPANS, "opentelemetry", {"preset": "gen_ai.model_choice.v1"})))
    assert [decision.action for decision in decisions] == ["model-a", "model-b"]
    assert decisions[1].observation == {"gen_ai.operation.name": "chat", "gen_ai.request.max_tokens": 256}
    assert decisions[1].outcome == {
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 31,
        "execution_time": 0.5,
    }
    assert decisions[1].metadata["gen_ai.provider.name"] == "example" and decisions[1].propensity is None


def test_attributes_of_ones_own() -> None:
    options = {
        "action": "http.method",
        "observation": ["retrainer.observation.load"],
        "fields": {"propensity": "retrainer.observation.load"},
        "probabilities": "none.",
    }
    rows = good(read(SPANS, "opentelemetry", options))
    assert [row["action"] for row in rows if "action" in row] == ["POST"] * 4
    assert rows[0]["observation"] == {"retrainer.observation.load": 0.5} and rows[0]["propensity"] == 0.5
    several = {**options, "observation": "retrainer.observation.load,http.method"}
    assert good(read(SPANS, "opentelemetry", several))[0]["observation"]["http.method"] == "POST"
    for options, text in (
        ({"preset": "ours.v9"}, "preset = 'ours.v9' is not known; known are retrainer.decision.v1"),
        ({"observation": ["load", 3]}, "observation is no list of attributes"),
        ({"fields": {"colour": "x"}}, "fields is no object of attributes"),
        ({"colour": 1}, "'colour' is no option of OpenTelemetry files"),
    ):
        with pytest.raises(DataError, match=text):
            read(SPANS, "opentelemetry", options)


def test_a_published_preset_never_changes() -> None:
    """Whoever imports a file again must get the same records: change a preset by adding a version."""
    first = PRESETS["retrainer.decision.v1"]
    assert first.action == "retrainer.action" and first.observation == ("retrainer.observation.",)
    assert ", ".join(sorted(first.fields)) == (
        "agent, allowed_actions, episode_id, executed_action, experiment_arm, mode, policy_version, propensity, "
        "reward, step, tenant, terminated, truncated"
    )
    assert PRESETS["gen_ai.model_choice.v1"].action == "gen_ai.request.model"


def test_a_bad_span_is_named_and_the_others_of_its_line_kept(tmp_path: Path) -> None:
    request = json.loads(SPANS.read_text().splitlines()[0])
    spans = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
    changes: dict[str, Any] = {
        "traceId": "xyz",
        "spanId": 7,
        "startTimeUnixNano": "soon",
        "endTimeUnixNano": None,
        "attributes": [{"key": "retrainer.action", "value": {"intValue": True}}],
        "events": 3,
    }
    good_span = copy.deepcopy(spans[1])
    spans[:] = [{**copy.deepcopy(good_span), name: value} for name, value in changes.items()] + [good_span]
    spans.append({**good_span, "startTimeUnixNano": "9" * 19, "spanId": "ab" * 8})
    later = json.loads(json.dumps(request))
    rows = read(jsonl(tmp_path / "s.jsonl", [request, {"spans": []}, {"resourceSpans": 3}, later]), "opentelemetry")
    told = [text for text in problems(rows) if text.startswith("1 ")]
    assert [text.split()[1] for text in told] == [
        "traceId",
        "spanId",
        "startTimeUnixNano",
        "endTimeUnixNano",
        "attributes.retrainer.action",
        "events",
    ]
    assert [text for text in problems(rows) if text[0] in "23"] == [
        "2 resourceSpans has no resourceSpans",
        "3 resourceSpans has no resourceSpans",
    ]
    kept = [row for row in rows if row.rejected is None and row.row == 1]
    assert good_span["spanId"] in kept[-2].content["event_id"] and len([row for row in rows if row.row == 4]) == len(
        [row for row in rows if row.row == 1]
    )


def test_the_attribute_that_no_span_has_is_named(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    request = {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "a span of something else"}]}]}]}
    path = jsonl(tmp_path / "others.jsonl", [request])
    line = refused(home, path, agent="router", format_name="opentelemetry")
    assert "no span with the attribute retrainer.action" in line
    assert "--option preset=gen_ai.model_choice.v1" in line and "retrainer.decision.v1" not in line
    line = refused(home, path, agent="router", format_name="opentelemetry", options={"action": "app.choice"})
    assert "no span with the attribute app.choice" in line and "--option action=NAME" in line
