"""What a journal still knows of decisions that left for the table: whether one is there, and what contradicts it."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from envs.errors import JournalError
from envs.journal.journal import AppendResult, Journal
from envs.journal.rows import row_of
from envs.journal.sealed import (
    SealedState,
    episode_key,
    event_key,
    is_known_episode,
    note_sealed,
    remember,
    row_keys,
    short,
    step_key,
    tenant_key,
)
from envs.record import DecisionRecord


def record(event: str, episode: str | None = None, step: int = 0, **changes: Any) -> DecisionRecord:
    mapping: dict[str, Any] = {"event_id": event, "agent": "a", "observation": 1, "action": "up", "tenant": "t"}
    if episode is not None:
        mapping |= {"episode_id": episode, "step": step}
    return DecisionRecord.from_mapping(mapping | changes)


SEALED = [
    record("single"), record("e0", "long", 0), record("e1", "long", 1), record("of b", agent="b"),
    record("beside", mode="shadow"), record("late", "late", 2),
]  # fmt: skip


def three_keys(item: DecisionRecord) -> list[tuple[bytes, bytes]]:
    """As earlier versions remembered a decision, whether it is an episode by itself or not."""
    event = event_key(item.event_id)
    found = [(event, short(item.content_hash))]
    if item.mode != "shadow":
        found.append((step_key(item.agent, item.episode_id, item.step), event))
        found.append((episode_key(item.agent, item.episode_id), tenant_key(item.tenant)))
    return found


@pytest.fixture(params=["present", "earlier"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    made = Journal(tmp_path / "journal.sqlite")
    made.open()
    for item in SEALED:
        pairs = row_keys(row_of(item), item.content_hash) if request.param == "present" else three_keys(item)
        made.file.run(lambda connection, pairs=pairs: remember(connection, pairs), write=True)
    made.file.run(lambda connection: note_sealed(connection, SealedState(len(SEALED))), write=True)
    return made


def test_the_same_is_not_recorded_again(journal: Journal) -> None:
    assert journal.append(SEALED) == AppendResult(0, len(SEALED))


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (record("single", observation=2), "'single' was recorded before with other content"),
        (record("late", "late", 2, reward=1.0), "'late' was recorded before with other content"),
        (record("x", "single", 0), "0 of episode 'single' is there already"),
        (record("x", "single", 1, tenant="u"), "'u', but episode 'single' is of another"),
        (record("x", "long", 1), "1 of episode 'long' is there already"),
        (record("x", "long", 2, tenant="u"), "'u', but episode 'long' is of another"),
        (record("x", "late", 2), "2 of episode 'late' is there already"),
        (record("x", "of b", 0, agent="b"), "0 of episode 'of b' is there already"),
    ],
)
def test_what_contradicts_it_is_refused(journal: Journal, item: DecisionRecord, problem: str) -> None:
    (conflict,) = journal.conflicts([item])[1]
    assert problem in str(conflict.error)


@pytest.mark.parametrize(
    "item",
    [
        record("x", "single", 1), record("x", "long", 2), record("x", "late", 0), record("x", "of b", 0),
        record("x", "of b", 0, tenant="u"), record("x", "single", 0, agent="b", tenant="u"),
        record("x", "beside", 0, tenant="u"), record("x", "single", 0, mode="shadow", tenant="u"),
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_recorded(journal: Journal, item: DecisionRecord) -> None:
    assert journal.append([item]) == AppendResult(1, 0)


def test_what_is_recorded_together_is_judged_one_by_one(journal: Journal) -> None:
    """Whoever else of the same batch is of another tenant, or of another agent."""
    items = [
        record("x", "single", 1), record("y", "single", 2, tenant="u"), record("z", "single", 0, agent="b", tenant="u"),
    ]  # fmt: skip
    for order in permutations(range(3)):
        found = journal.conflicts([items[place] for place in order])[1]
        assert [order[conflict.position] for conflict in found] == [1]


@pytest.mark.parametrize(("version", "readable"), [(2, False), (3, True)])
def test_an_earlier_journal_is_read_where_it_cannot_be_written(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, version: int, readable: bool
) -> None:
    journal.file.run(lambda connection: connection.execute(f"PRAGMA user_version = {version}"), write=True)
    journal.close()
    with monkeypatch.context() as patch:
        patch.setattr("envs.journal.schema.os.access", lambda *_: False)
        if readable:
            assert journal.sealed().through == len(SEALED)
        else:
            with pytest.raises(JournalError, match=f"has the format {version}, which can only be read once"):
                journal.sealed()
    journal.close()
    assert journal.append(SEALED) == AppendResult(0, len(SEALED)), "written, it becomes a present one"
    assert journal.file.run(lambda connection: connection.execute("PRAGMA user_version").fetchone()) == (5,)


def test_an_episode_is_known(journal: Journal) -> None:
    known = [("a", "single"), ("a", "long"), ("b", "of b"), ("a", "late")]
    for agent, episode in [*known, ("b", "single"), ("a", "of b"), ("a", "beside"), ("a", "e1"), ("a", "x")]:
        found = journal.file.run(lambda connection, of=(agent, episode): is_known_episode(connection, *of))
        assert found == ((agent, episode) in known)
