"""Who reads, excludes or forgets while others record and seal: nothing is lost, and what was taken out stays out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from logs import AGENT, NOON, assert_same, home_at, outcome, record

import ai_engine
from ai_engine.log_keeping import log_exclude
from envs.build import build_dataset
from envs.errors import BusyError, DataError
from envs.home import Home
from envs.journal.file import JournalFile
from envs.journal.journal import Journal
from envs.journal.notes import add_note
from envs.journal.reading import LogReader
from envs.journal.sealed import KEYS_LOST
from envs.log import forgetting, sealing, table
from envs.log.compaction import compact
from envs.log.datasets import reopen
from envs.log.exclusions import exclude, list_exclusions
from envs.log.forgetting import forget
from envs.log.sealing import seal

PLAIN: dict[str, Any] = {"reward": "", "worst_class": "", "guardrails": (), "reward_range": None}


def at_the_next(monkeypatch: pytest.MonkeyPatch, name: str, action: Callable[[], Any]) -> None:
    """Do something just before the journal is asked by a function of that name, once."""
    real, waiting = JournalFile.run, [action]

    def run(self: JournalFile, function: Any, **how: Any) -> Any:
        asked = getattr(function, "func", function)
        if name in (asked.__name__, *asked.__code__.co_names) and waiting:
            waiting.pop()()
        return real(self, function, **how)

    monkeypatch.setattr(JournalFile, "run", run)


def late_outcome(path: Path) -> Home:
    """A home with a decision in the table and its outcome in the journal."""
    home = home_at(path, **PLAIN)
    Journal(home.journal_path).append([record("a")])
    seal(home)
    Journal(home.journal_path).append([outcome("a", reward=2.0)])
    return home


def test_an_outcome_that_is_sealed_while_its_decision_is_read_is_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, read in (
        ("one", lambda home: [item.reward for _, item in Journal(home.journal_path).read(AGENT)]),
        ("many", lambda home: build_dataset(home, AGENT)[0].rewards.tolist()),
    ):
        home = late_outcome(tmp_path / name)
        with monkeypatch.context() as patch:
            at_the_next(patch, "read_strays", lambda: seal(home))  # noqa: B023 - called within the loop
            assert read(home) == [2.0], name
        assert not Journal(home.journal_path).unsealed()


def test_an_outcome_that_is_sealed_before_its_decision_is_reached_is_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_at(tmp_path, **PLAIN)
    journal = Journal(home.journal_path)
    journal.append([outcome("last", reward=2.0), *(record(f"d{number}") for number in range(6)), record("last")])
    monkeypatch.setattr("envs.journal.reading.PAGE", 4)
    reader = iter(LogReader(journal, AGENT))
    found = [next(reader) for _ in range(4)]
    seal(home, keep=6)  # the outcome leaves, its decision stays
    found += reader
    assert [item.event_id for _, item in found][-1] == "last" and found[-1][1].reward == 2.0


def test_a_reader_goes_on_where_forgetting_has_replaced_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envs.log.reading.TOGETHER", 2)  # rows of a file: larger ones are read one by one
    home = home_at(tmp_path, **PLAIN)
    journal = Journal(home.journal_path)
    for number in range(3):
        journal.append([record(f"a{number}", reward=1.0), record(f"b{number}", tenant="acme", reward=1.0)])
        seal(home)
    reader = iter(LogReader(journal, AGENT))
    found = [next(reader)[1].event_id, next(reader)[1].event_id]
    forget(home, "acme")
    assert found + [item.event_id for _, item in reader] == ["a0", "b0", "a1", "a2"]


def test_a_dataset_ends_where_the_log_ended_when_it_was_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for sealed in (False, True):
        home = home_at(tmp_path / str(sealed), **PLAIN)
        journal = Journal(home.journal_path)
        journal.append([record("a", reward=1.0), record("late")])
        if sealed:
            seal(home)
        meanwhile = [record("b", reward=1.0), outcome("late", reward=3.0)]
        with monkeypatch.context() as patch:
            at_the_next(patch, "read_page", lambda: journal.append(meanwhile))  # noqa: B023
            dataset, report = build_dataset(home, AGENT)
        assert dataset.rewards.tolist() == [1.0] and report.orphaned_outcomes == 0
        assert_same(reopen(home, dataset.identifier), dataset)
        assert sorted(build_dataset(home, AGENT)[0].rewards) == [1.0, 1.0, 3.0]


@pytest.mark.parametrize("sealed", [False, True])
def test_an_outcome_does_not_move_its_decision_out_of_an_excluded_range(tmp_path: Path, sealed: bool) -> None:
    home = home_at(tmp_path, **PLAIN)
    journal = Journal(home.journal_path)
    journal.append([record("a"), record("b"), record("c")])
    exclude(journal, AGENT, 1, 3, "bad sensor")
    journal.append([outcome(name, reward=1.0) for name in "abc"])
    if sealed:
        seal(home)
        compact(home)
    dataset, report = build_dataset(home, AGENT)
    assert (len(dataset.actions), report.excluded_episodes) == (1, 2)
    log = ai_engine.log(AGENT, home=home).to_arrow()
    assert dict(zip(log["event_id"].to_pylist(), log["excluded"].to_pylist(), strict=True)) == {
        "a": True,
        "b": True,
        "c": False,
    }
    assert log_exclude(AGENT, start=1, end=3, undone=True, dry_run=True, home=home).decisions == 2


def test_a_range_that_was_excluded_twice_is_used_again_after_one_undo(tmp_path: Path) -> None:
    home = home_at(tmp_path, **PLAIN)
    journal = Journal(home.journal_path)
    journal.append([record("a", reward=1.0)])
    for reason in ("bad sensor", "bad sensor, said again"):
        log_exclude(AGENT, start=0, end=9, reason=reason, home=home)
    log_exclude(AGENT, start=0, end=9, undone=True, home=home)
    assert list_exclusions(journal, AGENT) == []
    assert build_dataset(home, AGENT)[0].episode_count == 1


def test_forgetting_finds_outcomes_that_were_sealed_before_their_decision_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for killed in (False, True):
        home = home_at(tmp_path / str(killed), **PLAIN)
        journal = Journal(home.journal_path)
        journal.append([outcome("a", outcome={"note": "SECRET"}), record("b", reward=1.0)])
        seal(home)
        journal.append([record("a", tenant="acme")])
        if killed:
            with monkeypatch.context() as patch:
                patch.setattr("envs.log.erasing.erase", interrupted)
                with pytest.raises(KeyboardInterrupt):
                    forget(home, "acme")
            seal(home)
        else:
            forget(home, "acme")
        assert holding(home, "SECRET") == []
        assert [item.event_id for _, item in journal.read(AGENT)] == ["b"]
        assert journal.outcome_counts() == {}


@pytest.mark.parametrize("step", ["_remember", "_noted", "let_go"])
@pytest.mark.parametrize("before", [0, 1])
def test_a_sealing_that_was_killed_does_not_bring_back_who_was_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, before: int
) -> None:
    home = home_at(tmp_path, **PLAIN)
    journal = Journal(home.journal_path)
    if before:
        journal.append([record("z", reward=1.0)])
        seal(home)
    journal.append([record("a", reward=1.0), record("b", tenant="acme", reward=1.0, metadata={"note": "SECRET"})])
    with monkeypatch.context() as patch:
        real = getattr(sealing, step)
        patch.setattr(sealing, step, lambda *given: real(*given) if _is_old(step, given) else interrupted())
        with pytest.raises(KeyboardInterrupt):
            seal(home)
    assert forget(home, "acme").decisions == {AGENT: 1}
    assert journal.counts() == {AGENT: 1 + before}
    seal(home)
    assert journal.counts() == {AGENT: 1 + before}
    assert holding(home, "SECRET") == []


def _is_old(step: str, given: tuple[Any, ...]) -> bool:
    """Whether a step belongs to what was sealed before."""
    return step == "let_go" and given[1] in (0, 1)


def test_forgetting_rewrites_a_table_of_an_earlier_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_at(tmp_path, **PLAIN)
    journal = Journal(home.journal_path)
    journal.append([record("a", reward=1.0), record("b", tenant="acme", reward=1.0)])
    with monkeypatch.context() as patch:
        names = [name for name in table.SCHEMA.names if name != "overridden"]
        real = table.write_delta
        patch.setattr(table, "SCHEMA", pa.schema([table.SCHEMA.field(name) for name in names]))
        patch.setattr(table, "write_delta", lambda delta, rows, **how: real(delta, rows.select(names), **how))
        seal(home)
    forget(home, "acme")
    assert [item.event_id for _, item in journal.read(AGENT)] == ["a"]


def test_a_dataset_without_the_forgotten_can_be_built_and_named_again(tmp_path: Path) -> None:
    home = home_at(tmp_path, **PLAIN)
    journal = Journal(home.journal_path)
    journal.append([record("a", reward=1.0), record("b", "open", 0, tenant="acme")])
    dataset, _ = build_dataset(home, AGENT)
    forget(home, "acme")
    with pytest.raises(DataError, match="used decisions of a tenant that was forgotten"):
        reopen(home, dataset.identifier)
    again, _ = build_dataset(home, AGENT)
    assert_same(reopen(home, again.identifier), dataset)


def test_no_dataset_is_made_of_what_is_half_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_at(tmp_path, **PLAIN)
    journal = Journal(home.journal_path)
    journal.append([record("a", reward=1.0), record("b", tenant="acme", reward=2.0)])
    with monkeypatch.context() as patch:
        at_the_next(patch, "is_new", lambda: forget(home, "acme"))  # read already, not noted yet
        dataset, _ = build_dataset(home, AGENT)
    assert dataset.rewards.tolist() == [1.0]
    with monkeypatch.context() as patch:
        journal.append([record("c", tenant="acme", reward=2.0)])
        patch.setattr(forgetting, "_delete", interrupted)
        with pytest.raises(KeyboardInterrupt):
            forget(home, "acme")
    with pytest.raises(BusyError, match="a tenant is being forgotten"):
        build_dataset(home, AGENT)
    compact(home)
    assert_same(build_dataset(home, AGENT)[0], dataset)


def test_unused_files_stay_for_as_long_as_was_said(tmp_path: Path) -> None:
    home = home_at(tmp_path, **PLAIN)
    for number in range(2):
        Journal(home.journal_path).append([record(f"a{number}", reward=1.0, timestamp=NOON.isoformat())])
        seal(home)
    report = compact(home, older_than_hours=0.5)
    assert (report.files_before, report.files_after, report.removed) == (2, 1, 0)


def test_a_table_that_cannot_be_written_is_named_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_at(tmp_path, **PLAIN)
    Journal(home.journal_path).append([record("a", reward=1.0)])

    def full(*_: Any, **__: Any) -> None:
        raise table.DeltaError("No space left on device (os error 28)")

    with monkeypatch.context() as patch:
        patch.setattr(table, "write_delta", full)
        with pytest.raises(DataError, match=r"/table/?: cannot be written \(No space left on device.*free space"):
            seal(home)
    assert Journal(home.journal_path).unsealed() == 1
    assert seal(home).events == 1


def test_what_was_sent_again_while_the_sealed_keys_were_lost_is_there_once(tmp_path: Path) -> None:
    home = home_at(tmp_path, **PLAIN)
    journal = Journal(home.journal_path)
    sent = [record("a", reward=1.0), record("b"), outcome("b", reward=2.0)]
    journal.append(sent)
    seal(home)

    def damaged(connection: Any) -> None:  # as mending leaves it
        connection.execute("DELETE FROM sealed_keys")
        add_note(connection, KEYS_LOST, "", {}, place=False)

    journal.file.run(damaged, write=True)
    assert journal.append([*sent, record("c", reward=3.0)]).added == 4
    assert seal(home).events == 1
    assert [(item.event_id, item.reward) for _, item in journal.read(AGENT)] == [("a", 1.0), ("b", 2.0), ("c", 3.0)]
    assert journal.append(sent).added == 0 and journal.outcome_counts() == {AGENT: 1}


def test_rejected_rows_are_forgotten_whatever_the_tenant_stands_in(tmp_path: Path) -> None:
    home = home_at(tmp_path, **PLAIN)
    kept = ['{"tenant": "b", "note": "acmeville"}', '"tenant,note\\nacmeville,1"']
    gone = ['{"customer": {"id": "acme"}, "n": 1}', '"{\\"tenant\\": \\"acme\\", \\"n"', '"1,acme,2"', '[1, ["acme"]]']
    path = home.data_path / "rejected" / "scaling-1.jsonl"
    path.parent.mkdir()
    path.write_text("".join(f'{{"row": 1, "content": {content}}}\n' for content in (*kept, *gone)))
    forget(home, "acme")
    assert path.read_text() == "".join(f'{{"row": 1, "content": {content}}}\n' for content in kept)


def interrupted(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


def holding(home: Home, text: str) -> list[Path]:
    """Files of a home that hold a text, in Parquet files too."""
    found = []
    for path in home.path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".parquet" and "_delta_log" not in path.parts:
                content += str(pa.parquet.read_table(path).to_pylist()).encode()
            if text.encode() in content:
                found.append(path)
    return found
