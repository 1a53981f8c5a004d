"""A dataset is the same whether its log is a journal, a table, or partly both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envs import episodes, expression
from envs.build import build_dataset
from envs.build_report import BuildReport
from envs.dataset import Dataset
from envs.errors import DataError, RecordError
from envs.expression import Expression
from envs.home import Home
from envs.journal import arrivals
from envs.journal.journal import Journal
from envs.journal.rows import Event
from envs.log import arithmetic
from envs.log.arithmetic import ColumnExpression
from envs.log.exclusions import exclude
from envs.log.rows import SealingRows
from envs.log.sealing import seal
from envs.log.source import _ahead
from envs.outcome import join
from tests.envs.log.logs import AGENT, NOON, OUTCOMES, append_each, assert_same, home_at, logs, moment, outcome, record

NOW = NOON.timestamp() + 45 * 60


def both(home: Home, **how: Any) -> tuple[tuple[Dataset, BuildReport], tuple[Dataset, BuildReport]]:
    """Read record by record, and as the log is read now."""
    one_by_one = build_dataset(home, AGENT, now=NOW, until=2**60, **how)
    return one_by_one, build_dataset(home, AGENT, now=NOW, **how)


WILD = given(logs(), st.integers(0, 8), st.sampled_from([0.0, 300.0, 1800.0]), st.data())
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=12, deadline=None, suppress_health_check=SLOW)
@WILD
def test_sealed_or_not_a_log_gives_the_same_dataset(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], keep: int, maturation: float, data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        check_sealed_or_not(tmp_path_factory, patch, events, keep, maturation, data)


@pytest.mark.full
@settings(max_examples=300, deadline=None, suppress_health_check=SLOW)
@WILD
def test_three_hundred_logs_give_the_same_datasets(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], keep: int, maturation: float, data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        check_sealed_or_not(tmp_path_factory, patch, events, keep, maturation, data)


def check_sealed_or_not(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    events: list[Event],
    keep: int,
    maturation: float,
    data: st.DataObject,
) -> None:
    patience = data.draw(st.sampled_from([0.0, 0.0, 60.0, 900.0]))
    home = home_at(tmp_path_factory.mktemp("home"), maturation=maturation, abandoned_after=patience)
    monkeypatch.setattr(episodes, "FEWEST", data.draw(st.sampled_from([1, 2, 20])))
    seen = count(NOW - 2000.0, 700.0)
    monkeypatch.setattr(arrivals, "time", SimpleNamespace(time=lambda: next(seen)))
    journal = Journal(home.journal_path)
    cut = data.draw(st.integers(0, len(events)))
    append_each(journal, events[:cut])
    if cut:
        seal(home, keep=keep)
    for one in events[cut:]:
        append_each(journal, [one])
        if data.draw(st.integers(0, 4)) == 0:
            arrivals.note_arrivals(journal)
    if not journal.counts().get(AGENT):
        return
    if data.draw(st.booleans()):
        ranges = [(moment(10), moment(20)), (2, 5), (None, 3), (4, moment(20))]
        exclude(journal, AGENT, *data.draw(st.sampled_from(ranges)), "poisoned")
    plain, plain_report = build_dataset(home, AGENT, now=NOW)
    seal(home, keep=data.draw(st.integers(0, 3)))
    (expected, expected_report), (found, report) = both(home)
    assert_same(expected, found)
    assert_same(plain, found)
    assert report == replace(expected_report, orphaned_outcomes=report.orphaned_outcomes)
    assert report == replace(plain_report, matures=report.matures)
    home.declare(replace(home.specification(AGENT), unit=data.draw(st.sampled_from(["day", "tenant"]))))
    (expected, expected_report), (found, report) = both(home, rule=lambda seen: "hold" if seen["load"] > 0 else "down")
    assert_same(expected, found)
    assert (report.known_roots, report.embargoed_episodes) == (
        expected_report.known_roots,
        expected_report.embargoed_episodes,
    )


EXPRESSIONS = (
    "gain", "-gain + 2 * lost", "gain / lost", "gain // lost", "gain % lost", "gain ** lost", "lost > 1",
    "0 < lost <= 2 < gain", "gain if lost else errors", "lost and errors", "lost or 1 / lost", "not lost",
    "max(gain, lost, 0.5)", "log(lost)", "sqrt(gain)", "abs(gain) - min(1, lost)", "late == 'very'",
    "output.status != 'up'", "big - 1", "true + lost", "3.5", "lost == 1 or late == 'not'", "exp(-lost)", "exp(gain)",
    "seconds(gain)", "utc(late)", "lower(lost)",
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.lists(st.one_of(st.none(), OUTCOMES), min_size=1, max_size=12), st.sampled_from(EXPRESSIONS))
def test_an_expression_over_columns_is_the_expression(outcomes: list[dict[str, Any] | None], text: str) -> None:
    rows = SealingRows(bytes(32), NOON.date())
    for index, value in enumerate(outcomes):
        decided = record(f"e{index}", outcome=value)
        rows.add_decision(index, join(index, decided, []), "")
    (batch,) = rows.table().to_batches()
    values, valid = ColumnExpression.of(text).evaluate(batch)
    for index, value in enumerate(outcomes):
        try:
            expected = Expression(text).evaluate(value or {})
        except RecordError:
            assert not valid[index], (text, value)
        else:
            assert valid[index] and values[index] == pytest.approx(expected, rel=1e-12), (text, value)


def test_columns_know_every_function_of_an_expression() -> None:
    assert arithmetic.FUNCTIONS.keys() == expression.FUNCTIONS.keys()


def sealed(path: Path, *events: Event, **changes: Any) -> Home:
    home = home_at(path, **changes)
    Journal(home.journal_path).append(events)
    seal(home)
    return home


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observation": {"load": 2e6}}, r"observation.load: 2e\+06 is outside the declared range"),
        ({"observation": {"load": "much"}}, "observation.load: 'much' is not a number"),
        ({"observation": {"load": 1.0, "new": 2}}, "observation.new: is not a declared field"),
        ({"observation": {"load": 1.0, "queue": {"size": 1.5}}}, "queue.size: 1.5 is not an integer"),
        ({"observation": [1.0]}, "list is not an object"),
        ({"action": "jump"}, "'jump' is not a declared action"),
        ({"action": 2}, "2 is not a declared action"),
        ({"allowed_actions": ["hold", "jump"]}, "'jump' is not a declared action"),
        ({"action_probabilities": {"hold": 0.5, "jump": 0.5}}, "'jump' is not a declared action"),
        ({"metadata": {"root_probabilities": [1.0]}}, "metadata.root_probabilities: has 1 entries for 3"),
        ({"metadata": {"root_probabilities": "none"}}, "root_probabilities"),
        ({"next_observation": {"load": None}}, "observation.load: is missing"),
        ({"outcome": {"gain": 5e9, "lost": 0}}, r"reward 5e\+09 is outside the declared range"),
    ],
)
def test_what_does_not_fit_is_named_as_one_by_one(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    good = {"outcome": {"gain": 1.0, "lost": 0}, "terminated": True, "timestamp": moment(0)}
    events = (record("e0", **good), record("e1", **(good | changes)), record("e2", **good))
    home = sealed(tmp_path, *events, worst_class="", guardrails=())
    errors = []
    for until in (None, 2**60):
        with pytest.raises((RecordError, DataError, TypeError, ValueError)) as caught:
            build_dataset(home, AGENT, until=until)
        errors.append(str(caught.value))
    if "none" not in str(changes):
        assert errors[0] == errors[1]
        place = f"agent {AGENT}, event e1 at position 2, {events[1].timestamp}: "
        assert errors[0].startswith(place), "what log exclude has to be told"
        assert f"retrainer log exclude {AGENT} --from 2 --to 3 --reason TEXT" in errors[0]
        exclude(Journal(home.journal_path), AGENT, 2, 3, "odd")
        assert build_dataset(home, AGENT)[1].episodes == 2
    assert re.search(message, errors[0]), errors[0]


def test_a_clock_that_was_set_back_changes_neither_order_nor_episodes(tmp_path: Path) -> None:
    steps = [record(f"e-{step}", "e", step, timestamp=moment(10 - 3 * step), reward=1.0) for step in range(3)]
    home = home_at(tmp_path, reward="", worst_class="", guardrails=())
    Journal(home.journal_path).append(steps)
    plain, _ = build_dataset(home, AGENT)
    seal(home)
    found, report = build_dataset(home, AGENT)
    assert_same(plain, found)
    assert report.episodes == 1 and (np.diff(found.timestamps) < 0).all()


def test_two_tenants_are_never_one_episode(tmp_path: Path) -> None:
    home = home_at(tmp_path)
    journal = Journal(home.journal_path)
    journal.append([record("a", "e", 0, tenant="one")])
    seal(home)
    with pytest.raises(RecordError, match="tenant: 'two', but episode 'e' is of another"):
        journal.append([record("b", "e", 1, tenant="two")])
    journal.append([record("c", "f", 0, tenant="two"), outcome("c")])
    assert journal.counts() == {AGENT: 2}


def test_reading_ahead_changes_nothing() -> None:
    """The same batches in the same order; what goes wrong in one is said behind those before it."""
    batches = [pa.record_batch({"x": pa.array([index])}) for index in range(5)]
    assert list(_ahead(iter(batches))) == batches
    assert list(_ahead(iter([]))) == []

    def broken() -> Iterator[pa.RecordBatch]:
        yield from batches[:2]
        raise DataError("is damaged", where="file", remedy="restore it")

    found = []
    with pytest.raises(DataError, match="is damaged"):
        for batch in _ahead(broken()):
            found.append(batch)
    assert found == batches[:2]
