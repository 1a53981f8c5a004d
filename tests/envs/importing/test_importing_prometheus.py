"""Prometheus: the answers that a real server gave (tests/data/importing), and under ``full`` the server itself."""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from envs.errors import DataError
from envs.home import Home
from envs.importing import prometheus_client, reader_prometheus
from envs.importing.importer import import_files
from envs.importing.prometheus_client import PrometheusClient
from envs.importing.prometheus_options import POINTS, prometheus_options
from envs.importing.reader_prometheus import PrometheusReader
from envs.importing.readers import reader_of
from envs.journal.journal import Journal
from envs.journal.reading import LogReader
from envs.log.sealing import seal
from tests.envs.importing.import_reading import good, outcomes, read, records
from tests.envs.importing.importing_fuzz import mutated
from tests.envs.importing.prometheus_history import (
    ANSWERS,
    DEPLOYMENTS,
    GAP,
    OPTIONS,
    SECONDS,
    START,
    asked,
    before,
    real_server,
    replaying_server,
)


def kept() -> dict[str, Any]:
    return dict(json.loads(ANSWERS.read_text()))


def assert_as_the_history_says(address: str) -> list[dict[str, Any]]:
    """Every decision and outcome against the raw samples, joined in another way."""
    contents = good(read(address, "prometheus", OPTIONS))
    decisions = {(row.metadata["deployment"], row.timestamp): row for row in records(contents)}
    told = {(event.decision_id): event for event in outcomes(contents)}
    expected = 0
    for deployment in DEPLOYMENTS:
        for second in range(START, START + SECONDS, 60):
            old, new = (before("kube_deployment_spec_replicas", deployment, at) for at in (second, second + 60))
            row = decisions.get((deployment, moment(second)))
            assert (row is None) == (old is None or new is None)
            if row is None or old is None or new is None:
                continue
            expected += 1
            assert row.action == ("up" if new > old else "down" if new < old else "hold")
            assert row.metadata["level"] == old and row.propensity is None
            load = before("app_load", deployment, second)
            assert row.observation["load"] == load
            if row.action != "hold" or second % 600 == 0:
                later = told[row.event_id]
                assert later.timestamp == moment(second + 60)
                # An outcome may use the sample of its own moment.
                assert later.outcome.get("load") == before("app_load", deployment, second + 61)
    assert expected == len(decisions) > 180
    assert {row.action for row in decisions.values()} == {"up", "down", "hold"}
    return contents


def moment(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")


def test_as_a_real_server_answered() -> None:
    with replaying_server(kept()) as address:
        assert_as_the_history_says(address)


@pytest.mark.full
def test_with_the_real_server(tmp_path: Path) -> None:
    with real_server(tmp_path) as address:
        contents = assert_as_the_history_says(address)
        with pytest.raises(DataError, match=r"'rate\(app_load' was refused \(1:14: parse error: unclosed left paren"):
            read(address, "prometheus", {**OPTIONS, "action": "rate(app_load"})
        # Another size of the chunks asks other questions and gets the same answers.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reader_prometheus, "CHUNK", 30)
            assert sorted(map(str, good(read(address, "prometheus", OPTIONS)))) == sorted(map(str, contents))
    with replaying_server(kept()) as address:
        assert good(read(address, "prometheus", OPTIONS)) == contents  # the kept answers are the server's


def test_episodes_are_whole_blocks_and_a_gap_cuts() -> None:
    with replaying_server(kept()) as address:
        decisions = records(good(read(address, "prometheus", OPTIONS)))
    episodes: dict[str, list[Any]] = {}
    for decision in decisions:
        episodes.setdefault(decision.episode_id, []).append(decision)
    for rows in episodes.values():
        assert [row.step for row in rows] == list(range(len(rows)))
        for row, following in pairwise(rows):
            assert seconds(following) - seconds(row) == 60 and not row.truncated
            assert row.next_observation is None  # the next step says it
        assert rows[-1].truncated and rows[-1].next_observation
        assert not rows[-1].terminated
        block = seconds(rows[0]) // 1800
        assert block == seconds(rows[-1]) // 1800
    whole = [rows for rows in episodes.values() if len(rows) == 30]
    assert len(whole) >= 2 * 2 and any(len(rows) < 30 for rows in episodes.values())
    assert any(seconds(rows[-1]) < GAP.start + 300 and len(rows) < 30 for rows in episodes.values())


def seconds(record: Any) -> int:
    return int(record.seconds)


def test_goes_on_and_adds_what_came_later(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    with replaying_server(kept()) as address:
        report = import_files(home, "scaling", [address], format_name="prometheus", options=OPTIONS)
        again = import_files(home, "scaling", [address], format_name="prometheus", options=OPTIONS)
    assert report.added == report.rows > 300 and (again.added, again.duplicates) == (0, report.rows)
    with Journal(home.journal_path) as journal:
        joined = [record for _, record in LogReader(journal, "scaling")]
    assert sum("errors" in (record.outcome or {}) for record in joined) > 150
    assert home.specification("scaling").actions == ("down", "hold", "up")


def test_two_agents_read_the_same_history_and_one_of_before_goes_on_under_its_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home.create(tmp_path / "home")
    monkeypatch.setattr(PrometheusClient, "values", from_samples)

    def imported(agent: str, **options: Any) -> tuple[int, int]:
        options = {**OPTIONS, **options}
        report = import_files(home, agent, ["http://none"], format_name="prometheus", options=options)
        return report.added, report.duplicates

    with monkeypatch.context() as before:  # ids did not say whose they were
        before.setattr(PrometheusReader, "read_for", lambda *_: None)
        first, _ = imported("scaling", end=moment(START + 3000))
    seal(home)
    more, known = imported("scaling")
    assert more > 0 and known == first, "the rest of the history, and nothing twice"
    assert imported("second") == (more + known, 0) and imported("second") == (0, more + known)
    assert imported("scaling") == (0, more + known)


def test_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed import goes on with the same rows; the questions are answered from the whole history."""
    monkeypatch.setattr(reader_prometheus, "CHUNK", 30)
    monkeypatch.setattr(PrometheusClient, "values", from_samples)
    whole = list(reader_of("http://none", "prometheus", OPTIONS).batches())
    assert len(whole) == 4
    for place, batch in enumerate(whole):
        again = reader_of("http://none", "prometheus", OPTIONS).batches(batch.position)
        assert [row for later in again for row in later.rows] == [
            row for later in whole[place + 1 :] for row in later.rows
        ]
    # Read while the history still grew, within an episode, and then to its end: the same decisions.
    clock = {"now": START + 3000.0}
    options = prometheus_options("http://none", OPTIONS)
    first = list(PrometheusReader("http://none", options, lambda: clock["now"]).batches())
    clock["now"] = START + SECONDS
    more = list(PrometheusReader("http://none", options, lambda: clock["now"]).batches(first[-1].position))
    known = {row.content["event_id"]: row.content for batch in whole for row in batch.rows if "event_id" in row.content}
    parts = [row.content for batch in first + more for row in batch.rows if "event_id" in row.content]
    assert {row["event_id"] for row in parts} == set(known) and len(parts) == len(known)
    assert all(known[row["event_id"]]["step"] == row["step"] for row in parts)
    assert all(known[row["event_id"]]["episode_id"] == row["episode_id"] for row in parts)


def test_a_decision_says_the_same_however_far_the_history_went(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the import after one that ended just before a gap is refused, and every later one."""
    monkeypatch.setattr(PrometheusClient, "values", from_samples)
    options = prometheus_options("http://none", OPTIONS)
    said: dict[str, Any] = {}
    for now in range(GAP.start - 180, GAP.start + 600, 60):
        batches = PrometheusReader("http://none", options, lambda now=now: now + 1.0).batches()
        for content in [row.content for batch in batches for row in batch.rows if "event_id" in row.content]:
            assert said.setdefault(content["event_id"], content) == content
    assert any(row.get("truncated") and "observation" in row for row in said.values())


def from_samples(self: Any, expression: str, start: int, end: int, step: int) -> Any:
    name = expression if expression in ("app_load", "kube_deployment_spec_replicas") else "app_load"
    found: Any = {}
    for deployment in DEPLOYMENTS:
        values = {at: before(name, deployment, -(-(at + 1) // 1000)) for at in range(start, end + 1, step)}
        found[(deployment,)] = {at: value for at, value in values.items() if value is not None}
    return found


def test_no_question_is_for_more_points_than_a_server_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[int] = []

    def values(self: Any, expression: str, start: int, end: int, step: int) -> Any:
        asked_for.append((end - start) // step + 1)
        return {}

    monkeypatch.setattr(PrometheusClient, "values", values)
    options = {**OPTIONS, "interval": "1s", "episode": "2h", "end": "2026-01-03T00:00:00Z"}
    assert list(reader_of("http://none", "prometheus", options).batches())
    assert max(asked_for) <= POINTS < 11_000 and sum(asked_for) > 5 * 2 * 86_400


def test_what_the_server_says_is_told() -> None:
    load = next(key for key in kept() if '"app_load"' in key)
    answer = kept()[load][1]
    doubled = json.loads(json.dumps(answer))
    doubled["data"]["result"][1]["metric"]["deployment"] = "api"
    for content, text in (
        ([200, doubled], r"'app_load' has several series for deployment=api; aggregate it"),
        ([503, "<html>"], r"'app_load' was refused \(503 Service Unavailable\)"),
        ([200, "[" * 100_000], r"was not answered as JSON"),
        ([200, {"status": "success"}], r"was not answered as Prometheus does"),
        ([200, {"data": {"resultType": "scalar", "result": []}}], r"is a scalar, no range of values"),
        ([400, {"status": "error", "error": "bad\nthing"}], r"was refused"),
    ):
        with replaying_server({**kept(), load: content}) as address, pytest.raises(DataError, match=text):
            read(address, "prometheus", OPTIONS)
    with replaying_server(kept()) as address, pytest.MonkeyPatch.context() as patch:
        patch.setattr(prometheus_client, "MAXIMUM_ANSWER", 2000)
        with pytest.raises(DataError, match="has an answer of more than"):
            read(address, "prometheus", OPTIONS)
    with another_protocol() as address, pytest.raises(DataError, match="cannot be reached"):
        read(address, "prometheus", OPTIONS)
    with pytest.raises(DataError, match="cannot be reached"):
        read("http://127.0.0.1:9", "prometheus", OPTIONS)


@contextmanager
def another_protocol() -> Iterator[str]:
    """A server that does not speak HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"SSH-2.0-other\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(5)


def test_damaged_answers() -> None:
    """Whatever comes back, there are rows or one plain refusal."""
    source = random.Random(0)
    answers = kept()
    keys = [key for key in answers if "rate(app_load" not in key]
    refused = 0
    with replaying_server(answers) as address:
        for _ in range(60):
            key = source.choice(keys)
            status, content = answers[key]
            damaged = mutated(json.dumps(content).encode(), source).decode("utf-8", "replace")
            answers[key] = [source.choice([200, 200, 400]), damaged]
            try:
                for row in read(address, "prometheus", OPTIONS):
                    assert row.rejected is None and isinstance(row.content, dict)
            except DataError as error:
                assert error.remedy and "\n" not in str(error)
                refused += 1
            answers[key] = [status, content]
    assert refused > 20


def test_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for change, text in (
        ({"start": ""}, "start is missing"),
        ({"start": "2026-01-01"}, "start: .* is not an RFC 3339 timestamp"),
        ({"start": "2026-01-01T00:10:00Z"}, "start is within an episode"),
        ({"interval": "1 minute"}, "interval = '1 minute' is no duration"),
        ({"episode": "90s"}, "episode is not a whole number of intervals"),
        ({"observation": {"load": 3}}, "observation is no table of expressions"),
        ({"action_kind": "sign"}, "action_kind = 'sign' is not known"),
        ({"tenant": "team"}, "tenant = 'team' is not in by"),
        ({"colour": 1}, "'colour' is no option"),
        ({"end": "2025-01-01T00:00:00Z"}, "end is not after start"),
    ):
        with pytest.raises(DataError, match=text):
            read("http://127.0.0.1:9", "prometheus", {**OPTIONS, **change})
    for source in ("file:///etc/passwd", "scaling.yaml"):
        with pytest.raises(DataError, match="is neither a TOML file nor an address; write url, action, observation,"):
            read(source, "prometheus", OPTIONS)
    with pytest.raises(DataError, match=r"action is missing; write url, action, .* into a file NAME.toml"):
        read("http://127.0.0.1:9", "prometheus")
    with pytest.raises(DataError, match="is no address"):
        read("http://127.0.0.1:9", "prometheus", {**OPTIONS, "url": "file:///etc/passwd"})
    seen: list[dict[str, str]] = []
    with replaying_server(kept(), seen) as address:
        path = tmp_path / "scaling.toml"
        lines = [f'url = "{address}"', 'token_variable = "TOKEN"', 'by = ["deployment"]', 'tenant = "deployment"']
        lines += [f"{name} = {json.dumps(OPTIONS[name])}" for name in ("action", "interval", "episode", "start", "end")]
        lines += ["[observation]", 'load = "app_load"']
        path.write_text("\n".join(lines))
        with pytest.raises(DataError, match="the environment has no TOKEN"):
            read(path, "prometheus")
        monkeypatch.setenv("TOKEN", "secret")
        rows = good(read(path, "prometheus", {"action_kind": "delta"}))
    assert {row["tenant"] for row in rows} == set(DEPLOYMENTS) and all(type(row["action"]) is int for row in rows)
    assert {query["authorization"] for query in seen} == {"Bearer secret"}
    assert asked(seen[0]) in kept()


def test_the_expression_without_values_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PrometheusClient, "values", lambda *_: {})
    home = Home.create(tmp_path / "home")
    options = {**OPTIONS, "action": "no_such_metric"}
    with pytest.raises(DataError, match="'no_such_metric' has no two values 60 s apart between ") as caught:
        import_files(home, "scaling", ["http://none"], format_name="prometheus", options=options)
    assert caught.value.remedy == "correct the expression action, or start and end"


@pytest.mark.parametrize(("table", "name"), [("observation", "never"), ("outcome", "lost")])
def test_a_field_without_a_value_for_any_decision_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, name: str
) -> None:
    """Also where an import that was killed goes on behind what it had found."""

    def values(self: Any, expression: str, *asked: int) -> Any:
        return {} if expression == "app_lod" else from_samples(self, expression, *asked)

    monkeypatch.setattr(PrometheusClient, "values", values)
    monkeypatch.setattr(reader_prometheus, "CHUNK", 30)
    home = Home.create(tmp_path / "home")
    options = {**OPTIONS, table: {**OPTIONS[table], name: "app_lod"}}
    with pytest.raises(DataError, match=f"{table}.{name}: the expression 'app_lod' has no value for any decision betw"):
        import_files(home, "scaling", ["http://none"], format_name="prometheus", options=options)
    assert not home.agents()
    whole = reader_of("http://none", "prometheus", OPTIONS)
    last = [batch.position for batch in whole.batches()][-2]
    monkeypatch.setattr(
        PrometheusClient,
        "values",
        lambda self, expression, *asked: values(
            self, expression if expression in OPTIONS["action"] else "app_lod", *asked
        ),
    )
    assert list(whole.batches(last)), "every field had its values before"


def test_outcomes_that_cannot_be_there_yet_are_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PrometheusClient, "values", from_samples)
    options = prometheus_options("http://none", {**OPTIONS, "outcome_after": "2h", "end": ""})
    rows = [
        row
        for batch in PrometheusReader("http://none", options, lambda: START + 3000.0).batches()
        for row in batch.rows
    ]
    assert rows and not any("decision_id" in row.content for row in rows)


def test_a_request_in_toml_is_told_from_other_files(tmp_path: Path) -> None:
    path = tmp_path / "scaling.toml"
    home = Home.create(tmp_path / "home")
    with replaying_server(kept()) as address:
        tables = ("observation", "outcome")
        lines = [f'url = "{address}"', *(f"{key} = {json.dumps(OPTIONS[key])}" for key in OPTIONS if key not in tables)]
        for table in tables:
            lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in OPTIONS[table].items())]
        path.write_text("\n".join(lines))
        report = import_files(home, "scaling", [path])
    assert report.added == report.rows > report.outcomes > 150
    path.write_text('url = "http://127.0.0.1:9"')
    with pytest.raises(DataError, match="action is missing; write action into the file"):
        import_files(home, "scaling", [path])
