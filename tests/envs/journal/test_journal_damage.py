"""A damaged journal opens without help: every row that is whole is kept, and what was lost is said."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import warnings
from pathlib import Path
from typing import Any

import pytest

from envs.errors import JournalError
from envs.journal.journal import Journal
from envs.journal.pages import Pages
from envs.log.exclusions import exclude, list_exclusions
from envs.record import DecisionRecord

PAGE = 4096


def record(event: str, **changes: Any) -> DecisionRecord:
    return DecisionRecord.from_mapping(
        {"event_id": event, "agent": "a", "observation": {"x": 1.5, "pad": "y" * 200}, "action": "up", **changes}
    )


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "journal.sqlite"
    with Journal(path) as journal:
        for batch in range(10):
            journal.append([record(f"{batch}-{index}") for index in range(30)])
        journal.append([record("long", metadata={"text": "z" * 20_000})])  # of several pages
    return path


def copy(sound: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return Path(shutil.copy(sound, folder / "journal.sqlite"))


def names(path: Path) -> set[str]:
    """What can be read, and the journal goes on."""
    with Journal(path) as journal:
        found = [item for _, item in journal.read("a")]
        assert len(found) == len({item.event_id for item in found}) == journal.counts()["a"]
        assert all(item == record(item.event_id) or item.event_id == "long" for item in found)
        last = journal.last_sequence("a")
        journal.append([record("new")])
        assert journal.last_sequence("a") > last and journal.find("new") is not None
        return {item.event_id for item in found}


@pytest.mark.parametrize("how", ["inverted", "zero", "bits"])
def test_any_page_may_be_damaged(sound: Path, tmp_path: Path, how: str) -> None:
    everything = names(copy(sound, tmp_path / "whole"))
    for page in range(0, os.path.getsize(sound) // PAGE, 5 if how == "inverted" else 13):
        path = copy(sound, tmp_path / f"{how}-{page}")
        content = bytearray(path.read_bytes())
        part = content[page * PAGE : (page + 1) * PAGE]
        if how == "bits":
            for place in range(50, PAGE, 97):
                part[place] ^= 1 << place % 8
        else:
            part = bytearray(byte ^ 0xFF for byte in part) if how == "inverted" else bytearray(PAGE)
        content[page * PAGE : (page + 1) * PAGE] = part
        path.write_bytes(content)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = names(path)
        assert found <= everything and len(everything - found) <= 12, "one page holds no more than a dozen rows"
        kept = list(path.parent.glob("journal.sqlite.damaged-*"))
        messages = [str(item.message) for item in said if issubclass(item.category, RuntimeWarning)]
        assert bool(kept) == bool(messages)
        if found != everything:
            assert kept and kept[0].read_bytes() == bytes(content), "the damaged file is kept as it was"
            assert f"{len(everything - found)} could not be read" in messages[0]


@pytest.mark.parametrize("left", [0.95, 0.5])
def test_a_file_that_was_cut_keeps_what_is_left(sound: Path, tmp_path: Path, left: float) -> None:
    path = copy(sound, tmp_path / "cut")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * left)])
    with pytest.warns(RuntimeWarning, match="was damaged"):
        found = names(path)
    assert len(found) >= 300 * left - 60, "some pages are indices"


@pytest.mark.parametrize("cut", [1, 3000, 9000])
def test_a_write_ahead_log_that_was_cut_loses_its_tail_only(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    for index in range(40):
        journal.append([record(f"e{index}")])
    other = tmp_path / "other"
    other.mkdir()
    for ending in ("", "-wal"):
        shutil.copy(f"{path}{ending}", other / f"journal.sqlite{ending}")
    journal.close()
    wal = other / "journal.sqlite-wal"
    os.truncate(wal, wal.stat().st_size - cut)
    found = names(other / "journal.sqlite")
    assert found == {f"e{index}" for index in range(len(found))} and 30 <= len(found) < 40


def test_pages_of_the_write_ahead_log_are_read_up_to_the_last_commit(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    journal.append([record(f"e{index}") for index in range(40)])
    wal = Path(f"{path}-wal").read_bytes()
    events = {values[1] for _, values in Pages(path.read_bytes(), wal).rows() if len(values) == 10}
    assert events == {f"e{index}" for index in range(40)}
    assert not [1 for _, values in Pages(path.read_bytes(), wal[:-1]).rows() if len(values) == 10], "not committed"
    journal.close()


def test_who_has_the_file_open_goes_on_with_the_mended_one(sound: Path, tmp_path: Path) -> None:
    path = copy(sound, tmp_path / "shared")
    other = Journal(path)
    other.append([record("before")])
    with open(path, "r+b") as file:
        file.seek(40 * PAGE)
        file.write(os.urandom(PAGE))
    with pytest.warns(RuntimeWarning, match="was damaged"):
        first = names(path)
    other.append([record("after")])
    assert other.counts() == Journal(path).counts() == {"a": len(first) + 2}
    assert {item.event_id for _, item in other.read("a")} == first | {"new", "after"}
    other.close()


def test_notes_survive_the_loss_of_their_page(sound: Path, tmp_path: Path) -> None:
    path = copy(sound, tmp_path / "noted")
    with Journal(path) as journal:
        exclude(journal, "a", 3, 9, "bad sensor")
    with sqlite3.connect(path) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'notes'").fetchone()[0]
    connection.close()
    content = bytearray(path.read_bytes())
    content[(root - 1) * PAGE : root * PAGE] = bytes(PAGE)
    path.write_bytes(content)
    with pytest.warns(RuntimeWarning, match="was damaged"):
        assert [(item.start, item.end) for item in list_exclusions(Journal(path), "a")] == [(3, 9)]


def test_a_note_that_was_changed_is_restored_and_not_believed(sound: Path, tmp_path: Path) -> None:
    path = copy(sound, tmp_path / "changed")
    with Journal(path) as journal:
        exclude(journal, "a", 3, 9, "bad sensor")
    with sqlite3.connect(path) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'notes'").fetchone()[0]
    connection.close()
    content = bytearray(path.read_bytes())
    page = slice((root - 1) * PAGE, root * PAGE)
    content[page] = content[page].replace(b'"start": 3', b'"start": 7')
    path.write_bytes(content)
    with pytest.warns(RuntimeWarning, match="was damaged"):
        assert [(item.start, item.end) for item in list_exclusions(Journal(path), "a")] == [(3, 9)]
    assert names(path) == names(copy(sound, tmp_path / "as before"))


def test_a_damaged_file_that_may_only_be_read_is_an_error(sound: Path, tmp_path: Path, monkeypatch: Any) -> None:
    path = copy(sound, tmp_path / "fixed")
    with open(path, "r+b") as file:
        file.seek(40 * PAGE)
        file.write(os.urandom(PAGE))
    before = path.read_bytes()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(JournalError, match="is damaged"):
        list(Journal(path).read("a"))
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1


def test_a_journal_of_the_first_format_becomes_one_of_this(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    rows = [record(f"e{index}", mode="shadow" if index == 3 else "live") for index in range(20)]
    with sqlite3.connect(path) as connection:
        connection.executescript(
            """
            CREATE TABLE records (sequence INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE,
                agent TEXT NOT NULL, tenant TEXT NOT NULL, episode_id TEXT NOT NULL, step INTEGER NOT NULL,
                content_hash TEXT NOT NULL, shadow INTEGER NOT NULL, content TEXT NOT NULL);
            CREATE UNIQUE INDEX steps ON records (agent, episode_id, step) WHERE shadow = 0;
            CREATE INDEX records_of_agent ON records (agent, sequence);
            PRAGMA application_id = 1381257777; PRAGMA user_version = 1;
            """
        )
        connection.executemany(
            "INSERT INTO records (event_id, agent, tenant, episode_id, step, content_hash, shadow, content)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (item.event_id, "a", "default", item.episode_id, 0, item.content_hash, int(item.mode == "shadow"),
                 json.dumps(item.to_mapping()))
                for item in rows
            ],
        )  # fmt: skip
    connection.close()
    with Journal(path) as journal:
        assert [item for _, item in journal.read("a")] == rows and journal.last_sequence("a") == 20
        assert journal.append(rows).duplicates == 20 and journal.append([record("new")]).added == 1
        assert journal.last_sequence("a") == 21


def test_who_may_only_read_sees_what_others_write_later(sound: Path, tmp_path: Path, monkeypatch: Any) -> None:
    path = copy(sound, tmp_path / "read")
    real = os.access
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda item, mode: mode != os.W_OK and real(item, mode))
        reader = Journal(path)
        before = reader.counts()["a"]
    with Journal(path) as writer:
        for number in range(1, 4):
            writer.append([record(f"later-{number}")])
            with monkeypatch.context() as patch:
                patch.setattr(os, "access", lambda item, mode: mode != os.W_OK and real(item, mode))
                assert reader.counts()["a"] == len(list(reader.read("a"))) == before + number
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda item, mode: mode != os.W_OK and real(item, mode))
        assert reader.counts()["a"] == before + 3
        reader.close()
