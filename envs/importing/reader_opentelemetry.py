"""OpenTelemetry: spans as decisions, from files of OTLP-JSON (one request a line, as the file exporters write).

A span with the preset's action is a decision: ``event_id`` is ``trace id/span id``, the timestamp its start. Its
outcome has what the preset names, ``execution_time`` (s, of the span; absent where it ends before it starts) and
``success`` (``false`` after a status of error, ``true`` after ok, absent where the status was not set). Other spans
are no rows.

What was found out later is joined by those ids: an evaluation (``gen_ai.evaluation.result``, as a span event or a log
record, or a span with ``gen_ai.evaluation.name``) gives its decision's outcome ``{name: score}`` and
``{name_label: label}``. It is about the span that it links to; without links about the span it stands in where that
is a decision or has no parent, else about that span's parent; a log record about the span that it names. Where that
is no decision it is kept as any outcome is whose decision is not known, and the import counts it.

Options: those of :func:`envs.importing.span_presets.chosen_preset`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from envs.importing.json_events import JsonEventsReader, named_entries, no_options
from envs.importing.span_presets import OPTIONS, PRESETS, SpanPreset, chosen_preset
from envs.values import UnfitValueError, shown

EVALUATION = "gen_ai.evaluation.result"
NAME, SCORE, LABEL, WHY = (
    f"gen_ai.evaluation.{part}" for part in ("name", "score.value", "score.label", "explanation")
)
TRACE, SPAN = re.compile(r"[0-9a-fA-F]{32}"), re.compile(r"[0-9a-fA-F]{16}")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KINDS = ("stringValue", "boolValue", "intValue", "doubleValue", "arrayValue", "kvlistValue", "bytesValue")
ERROR, OK = (2, "STATUS_CODE_ERROR"), (1, "STATUS_CODE_OK")


def open_reader(source: str, options: Mapping[str, Any]) -> JsonEventsReader:
    """The reader of a file.

    Raises:
        DataError: the file is not there, or an option is wrong.
    """
    no_options(options, OPTIONS, source, "OpenTelemetry files")
    preset = chosen_preset(options, source)
    others = " or ".join(f"--option preset={name}" for name in PRESETS if PRESETS[name] != preset)
    nothing = (
        f"has no span with the attribute {preset.action}, and no evaluation",
        f"name the attribute that holds the action with --option action=NAME, or give {others}",
    )
    return JsonEventsReader(source, "opentelemetry", lambda line: translated(line, preset), nothing)


def translated(line: dict[str, Any], preset: SpanPreset) -> Iterator[dict[str, Any] | UnfitValueError]:
    """The decisions and outcomes in one request."""
    if not any(isinstance(line.get(name), list) for name in ("resourceSpans", "resourceLogs", "resourceMetrics")):
        raise UnfitValueError("has no resourceSpans", "write OTLP-JSON, one request a line", "resourceSpans")
    for outer, middle, inner, rows in (
        ("resourceSpans", "scopeSpans", "spans", _span),
        ("resourceLogs", "scopeLogs", "logRecords", _log),
    ):
        for resource in _objects(line, outer):
            for scope in _objects(resource, middle):
                for item in _objects(scope, inner):
                    try:
                        yield from rows(item, preset)
                    except UnfitValueError as error:
                        yield error


def _objects(parent: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = parent.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise UnfitValueError("is no array of objects", "write OTLP-JSON, one request a line", name)
    return found


def _span(span: Mapping[str, Any], preset: SpanPreset) -> Iterator[dict[str, Any]]:
    attributes = _attributes(span)
    decides = attributes.get(preset.action) is not None
    if decides:
        yield _decision(span, attributes, preset)
    evaluations = [event for event in _objects(span, "events") if event.get("name") == EVALUATION]
    itself = NAME in attributes
    if not evaluations and not itself:
        return
    about = [_identity(link, "spanId") for link in _objects(span, "links")]
    if not about:
        about = [_identity(span, "parentSpanId" if span.get("parentSpanId") and not decides else "spanId")]
    for decision in about:
        if itself:
            yield _evaluation(decision, attributes, span.get("endTimeUnixNano"))
        for event in evaluations:
            yield _evaluation(decision, _attributes(event), event.get("timeUnixNano"))


def _log(record: Mapping[str, Any], _: SpanPreset) -> Iterator[dict[str, Any]]:
    attributes = _attributes(record)
    if EVALUATION in (record.get("eventName"), attributes.get("event.name")):
        moment = record.get("timeUnixNano") or record.get("observedTimeUnixNano")
        yield _evaluation(_identity(record, "spanId"), attributes, moment)


def _decision(span: Mapping[str, Any], attributes: Mapping[str, Any], preset: SpanPreset) -> dict[str, Any]:
    start = _nanoseconds(span.get("startTimeUnixNano"), "startTimeUnixNano")
    end = _nanoseconds(span.get("endTimeUnixNano"), "endTimeUnixNano")
    row: dict[str, Any] = {
        "event_id": _identity(span, "spanId"),
        "timestamp": _moment(start, "startTimeUnixNano"),
        "action": attributes[preset.action],
        "observation": named_entries(_chosen(attributes, preset.observation)),
    }
    for name, attribute in preset.fields.items():
        if attributes.get(attribute) is not None:
            row[name] = attributes[attribute]
    chances = _chosen(attributes, (preset.probabilities,)) if preset.probabilities else {}
    if chances:
        row["action_probabilities"] = chances
    outcome = _chosen(attributes, preset.outcome)
    if end >= start:  # else the clock was set back, and nobody knows how long it took
        outcome.setdefault("execution_time", (end - start) / 1e9)
    status = span.get("status")
    code = status.get("code") if isinstance(status, Mapping) else None
    if code in (*ERROR, *OK):
        outcome.setdefault("success", code in OK)
    row["outcome"] = outcome
    metadata = _chosen(attributes, preset.metadata)
    if isinstance(span.get("name"), str):
        metadata.setdefault("span", span["name"])
    if span.get("droppedAttributesCount"):
        metadata["dropped_attributes"] = span["droppedAttributesCount"]
    row["metadata"] = metadata
    return row


def _evaluation(decision: str, attributes: Mapping[str, Any], moment: Any) -> dict[str, Any]:
    name = attributes.get(NAME)
    if not isinstance(name, str) or not name:
        raise UnfitValueError("is missing", "name what was evaluated", NAME)
    outcome = {
        text: attributes[attribute]
        for text, attribute in ((name, SCORE), (f"{name}_label", LABEL), (f"{name}_explanation", WHY))
        if attributes.get(attribute) is not None
    }
    if not outcome:
        raise UnfitValueError("is missing", "give a score or a label", SCORE)
    row: dict[str, Any] = {"decision_id": decision, "outcome": outcome}
    if moment not in (None, "", "0", 0):
        row["timestamp"] = _moment(_nanoseconds(moment, "timeUnixNano"), "timeUnixNano")
    return row


def _chosen(attributes: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in names:
        if name.endswith("."):
            found |= {key.removeprefix(name): value for key, value in attributes.items() if key.startswith(name)}
        elif name in attributes:
            found[name] = attributes[name]
    return {name: value for name, value in found.items() if name and value is not None}


def _identity(item: Mapping[str, Any], name: str) -> str:
    trace, span = item.get("traceId"), item.get(name)
    if not isinstance(trace, str) or not TRACE.fullmatch(trace):
        raise UnfitValueError(f"{shown(trace)} is not 32 hexadecimal digits", "write OTLP-JSON's ids", "traceId")
    if not isinstance(span, str) or not SPAN.fullmatch(span):
        raise UnfitValueError(f"{shown(span)} is not 16 hexadecimal digits", "write OTLP-JSON's ids", name)
    return f"{trace.lower()}/{span.lower()}"


def _attributes(item: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in _objects(item, "attributes"):
        name = pair.get("key")
        if not isinstance(name, str) or not name:
            raise UnfitValueError(f"{shown(name)} is no name", "name the attribute", "attributes.key")
        if name in found:
            raise UnfitValueError("is given twice", "name each attribute once", f"attributes.{name}")
        try:
            found[name] = _value(pair.get("value"))
        except UnfitValueError as error:
            raise error.under(f"attributes.{name}") from None
    return found


def _value(value: Any) -> Any:
    if value is None or value == {}:
        return None
    kinds = [kind for kind in KINDS if kind in value] if isinstance(value, Mapping) else []
    if len(kinds) != 1:
        raise UnfitValueError(f"{shown(value)} is no OTLP value", "write OTLP-JSON", "")
    kind = kinds[0]
    inner = value[kind]
    if kind == "arrayValue" and isinstance(inner, Mapping):
        items = inner.get("values", [])
        if isinstance(items, list):
            return [_value(item) for item in items]
    elif kind == "kvlistValue" and isinstance(inner, Mapping):
        return _attributes({"attributes": inner.get("values", [])})
    elif kind == "intValue" and isinstance(inner, str) and re.fullmatch(r"-?\d{1,19}", inner, re.ASCII):
        return int(inner)
    elif kind == "doubleValue" and isinstance(inner, str):
        if inner in ("NaN", "Infinity", "-Infinity"):
            return float(inner.replace("Infinity", "inf"))
    elif isinstance(inner, bool):
        if kind == "boolValue":
            return inner
    elif kind in ("intValue", "doubleValue") and isinstance(inner, (int, float)):
        return inner if kind == "intValue" else float(inner)
    elif kind in ("stringValue", "bytesValue") and isinstance(inner, str):
        return inner
    raise UnfitValueError(f"{shown(inner)} is no {kind}", "write OTLP-JSON", "")


def _nanoseconds(value: Any, name: str) -> int:
    if isinstance(value, str) and re.fullmatch(r"\d{1,19}", value, re.ASCII):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UnfitValueError(f"{shown(value)} is no moment", "give nanoseconds since 1970", name)
    return value


def _moment(nanoseconds: int, name: str) -> str:
    try:
        moment = EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        raise UnfitValueError(f"{nanoseconds} is out of range", "give nanoseconds since 1970", name) from None
    return moment.isoformat().replace("+00:00", "Z")
