"""An episode is of one tenant and has each step once, however its decisions are written."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.errors import RecordError
from envs.journal.journal import AppendResult, Journal
from envs.journal.reading import last_decisions
from envs.record import DecisionRecord

NAMES = st.sampled_from("ab")
PLACES = st.tuples(NAMES, NAMES, st.sampled_from("tu"), st.integers(0, 1), st.sampled_from(["live", "live", "shadow"]))


def decision(event: str, episode: str, tenant: str, step: int, mode: str = "live", agent: str = "a") -> DecisionRecord:
    return DecisionRecord.from_mapping(
        {
            "event_id": event, "episode_id": episode, "tenant": tenant, "step": step, "mode": mode, "agent": agent,
            "observation": [1.0], "action": "up",
        }
    )  # fmt: skip


def refused(there: list[DecisionRecord], new: DecisionRecord) -> bool:
    """By definition, against each decision before it."""
    if new in there:
        return False
    beside = [other for other in there if other.agent == new.agent and "shadow" not in (other.mode, new.mode)]
    episode = [other for other in beside if other.episode_id == new.episode_id]
    return (
        any(other.event_id == new.event_id for other in there)
        or any(other.tenant != new.tenant for other in episode)
        or any(other.step == new.step for other in episode)
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(PLACES, min_size=1, max_size=4), max_size=6), NAMES)
def test_what_contradicts_a_place_is_refused_and_nothing_else(
    batches: list[list[tuple[str, str, str, int, str]]], second: str
) -> None:
    there: list[DecisionRecord] = []
    with TemporaryDirectory() as folder, Journal(Path(folder) / "journal.sqlite") as journal:
        for batch in batches:
            new = [decision(*place, agent="a" if place[0] == "a" else second) for place in batch]
            known = list(there)
            contradiction = False
            for item in new:
                contradiction = contradiction or refused(known, item)
                known += [] if item in known else [item]
            if contradiction:
                with pytest.raises(RecordError):
                    journal.append(new)
            else:
                assert journal.append(new) == AppendResult(len(known) - len(there), len(new) - len(known) + len(there))
                there = known
            for agent in ("a", "b"):
                assert [record for _, record in journal.read(agent)] == [item for item in there if item.agent == agent]


def test_many_episodes_at_once(tmp_path: Path) -> None:
    """More than one statement takes; the one that contradicts is the last."""
    for kind, other in (("x", 0), ("x", 1), ("0", 1)):
        journal = Journal(tmp_path / f"{kind}{other}.sqlite")
        journal.append([decision(f"{kind}{number}", str(number), "t", 0) for number in range(1_300)])
        new = [decision(f"y{number}", str(number), "t", 2) for number in range(1_299)]
        assert journal.append(new).added == 1_299
        more = [decision(f"z{number}", str(number), "t", 3) for number in range(1_299)]
        with pytest.raises(RecordError, match="1299"):
            journal.append([*more, decision("z1299", "1299", "u", 3)])
        alone = [decision(f"w{number}", f"w{number}", "t", 0) for number in range(1_299)]
        with pytest.raises(RecordError):
            journal.append([*alone, decision("1299", "1299", "t" if other else "u", other * 0)])
        assert journal.append([*more, *alone]).added == 2 * 1_299
        journal.close()


def test_an_episode_that_is_named_after_its_first_decision(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    steps = [decision("e", "e", "t", 0), *(decision(f"e{step}", "e", "t", step) for step in (1, 2))]
    for step in steps:
        journal.append([step])
    for count in (1, 2, 3, 4):
        assert last_decisions(journal, "a", "t", "e", count) == steps[-count:]
    assert last_decisions(journal, "a", "u", "e") == last_decisions(journal, "b", "t", "e") == []


def test_a_journal_with_the_index_of_all_steps_becomes_one_of_this_format(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    rows = [decision("e", "e", "t", 0), decision("f", "e", "t", 1), decision("g", "g", "t", 0)]
    with Journal(path) as journal:
        journal.append(rows)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(
        """
        DROP INDEX places;
        CREATE UNIQUE INDEX steps ON events (agent, episode_id, step) WHERE shadow = 0;
        CREATE TRIGGER one_tenant_an_episode BEFORE INSERT ON events WHEN NEW.shadow = 0 BEGIN
            SELECT RAISE(ABORT, 'another tenant');
        END;
        PRAGMA user_version = 4;
        """
    )
    connection.close()
    with Journal(path) as journal:
        assert journal.append([*rows, decision("h", "g", "t", 1)]) == AppendResult(1, 3)
        names = "SELECT name FROM sqlite_master WHERE name IN ('places', 'steps', 'one_tenant_an_episode')"
        assert journal.file.run(lambda connection: connection.execute(names).fetchall()) == [("places",)]
