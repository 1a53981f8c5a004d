"""Segments: what is looked for in them is found, and a damaged page takes none of their decisions."""

from __future__ import annotations

import os
import shutil
import sqlite3
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.errors import JournalError
from envs.journal import segments
from envs.journal.columns import Objects, Same
from envs.journal.decision_columns import DecisionColumns
from envs.journal.departing import cut
from envs.journal.journal import Journal
from envs.journal.keys import text_keys
from envs.journal.rows import row_of
from envs.journal.segment_writing import Known, append_segments, begin_run
from envs.journal.segments import Segment, add_run, drop_idle_runs, has_segments, keys_of, make_all_rows, numbers_with
from envs.record import DecisionRecord

PAGE = 4096
SIZE = 400  # decisions of a segment


def decisions(first: int, count: int = SIZE) -> DecisionColumns:
    names = [f"e{number}" for number in range(first, first + count)]
    numbers = np.arange(first, first + count)
    return DecisionColumns(
        count,
        {
            "event_id": names,
            "agent": Same("a"),
            "action": ["up", "down"] * (count // 2),
            "observation": Objects(("x", "pad"), (numbers / 3, ["y" * 20] * count)),
            "tenant": Same("default"),
            "episode_id": names,
            "step": Same(0),
            "reward": -numbers / 7,
            "terminated": Same(False),
            "truncated": Same(False),
            "mode": Same("logging"),
        },
    )


def record(number: int) -> DecisionRecord:
    """The same decision by itself."""
    fields: dict[str, Any] = {"observation": {"x": number / 3, "pad": "y" * 20}, "reward": -number / 7}
    action = ("up", "down")[number % 2]
    return DecisionRecord.from_mapping({"event_id": f"e{number}", "agent": "a", "action": action, **fields})


def filled(path: Path, count: int = 6, size: int = SIZE) -> None:
    """A journal of a few single decisions, segments of ``size``, and single ones again."""
    made = [decisions(10 + size * number, size) for number in range(count)]
    keys = [keys_of(one.rows()) for one in made]
    numbers = np.repeat(np.arange(count), [len(one) for one in keys])
    joined = np.concatenate(keys)
    order = np.argsort(joined)
    packed = [one.packed() for one in made]

    def write(connection: Any) -> None:
        run = begin_run(connection)
        add_run(connection, run, joined[order], numbers[order])
        fresh = [
            Segment(1, size, "a", run, number, zlib.crc32(content), content) for number, content in enumerate(packed)
        ]
        known, appended = append_segments(connection, fresh, Known(10, frozenset()))
        assert (known.position, appended) == (10 + count * size, True)

    with Journal(path) as journal:
        journal.append([record(number) for number in range(10)])
        journal.file.run(write, write=True)
        journal.append([record(number) for number in range(10 + count * size, 20 + count * size)])


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "journal.sqlite"
    filled(path)
    return path


def copy(sound: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return Path(shutil.copy(sound, folder / "journal.sqlite"))


def test_a_reader_gets_all_in_order_and_from_anywhere(sound: Path, tmp_path: Path) -> None:
    with Journal(copy(sound, tmp_path)) as journal:
        expected = [(number + 1, record(number)) for number in range(20 + 6 * SIZE)]
        assert list(journal.read("a")) == expected
        for after in (3, 10, 11, 10 + SIZE, 57 + SIZE, 10 + 6 * SIZE, 15 + 6 * SIZE):
            assert list(journal.read("a", after=after)) == expected[after:]
        assert journal.counts() == {"a": len(expected)} and journal.unsealed() == len(expected)
        assert journal.find(f"e{SIZE}") == record(SIZE) and journal.find("e-1") is None
        assert journal.append([record(0), record(SIZE), record(5 * SIZE)]).duplicates == 3


def test_rows_that_are_made_of_segments_are_the_same(sound: Path, tmp_path: Path) -> None:
    with Journal(copy(sound, tmp_path)) as journal:
        before = list(journal.read("a"))
        for whole in (10, 10 + SIZE, 10 + 6 * SIZE):
            cut(journal, whole)
        assert journal.file.run(lambda connection: connection.execute("SELECT COUNT(*) FROM events").fetchone()) == (
            20,
        )
        cut(journal, 10 + SIZE + 7)
        assert list(journal.read("a")) == before
        assert [repr(item) for item in decisions(10).records()] == [
            repr(record(number)) for number in range(10, 10 + SIZE)
        ]
        contents = journal.file.run(
            lambda connection: connection.execute("SELECT content FROM events ORDER BY sequence").fetchall()
        )
        kept = [*range(10), *range(10 + SIZE, 10 + 2 * SIZE), *range(10 + 6 * SIZE, 20 + 6 * SIZE)]
        assert [content for (content,) in contents] == [row_of(record(number)).content for number in kept]
        make_all_rows(journal)
        left = "SELECT (SELECT COUNT(*) FROM segments), (SELECT COUNT(*) FROM segment_keys)"
        assert journal.file.run(lambda connection: connection.execute(left).fetchone()) == (0, 0)
        assert list(journal.read("a")) == before


def test_segments_whose_keys_were_others_become_rows(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy(sound, tmp_path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE segment_keys SET checksum = 0")
    connection.execute("PRAGMA user_version = 3")
    connection.close()
    with monkeypatch.context() as patch:
        patch.setattr("envs.journal.schema.os.access", lambda *_: False)
        with (
            Journal(path) as reading,
            pytest.raises(JournalError, match="has the format 3, which can only be read once"),
        ):
            reading.counts()
    with Journal(path) as journal:
        assert list(journal.read("a")) == [(number + 1, record(number)) for number in range(20 + 6 * SIZE)]
        assert not journal.file.run(has_segments)
        assert journal.append([record(SIZE), record(5 * SIZE)]).duplicates == 2


@pytest.mark.parametrize("how", ["inverted", "bits"])
def test_any_page_may_be_damaged(sound: Path, tmp_path: Path, how: str) -> None:
    """Each segment is there twice, on pages of its own."""
    total = 20 + 6 * SIZE
    for page in range(1 if how == "bits" else 0, os.path.getsize(sound) // PAGE, 7):
        path = copy(sound, tmp_path / f"{how}-{page}")
        content = bytearray(path.read_bytes())
        part = content[page * PAGE : (page + 1) * PAGE]
        if how == "bits":
            for place in range(50, PAGE, 97):
                part[place] ^= 1 << place % 8
        else:
            part = bytearray(byte ^ 0xFF for byte in part)
        content[page * PAGE : (page + 1) * PAGE] = part
        path.write_bytes(content)
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            with Journal(path) as journal:
                found = {item.event_id: item for _, item in journal.read("a")}
                doubles = journal.append([record(number) for number in range(10, total - 10, 97)])
                assert doubles.added == 0 or len(found) < total
        assert all(item == record(int(name[1:])) for name, item in found.items())
        assert len(found) >= total - 20, "no more than the single rows of a page are lost"


def test_damage_that_lets_a_segment_be_read_is_seen(sound: Path, tmp_path: Path) -> None:
    path = copy(sound, tmp_path)
    with Journal(path) as journal:

        def spoil(connection: Any) -> None:
            content = bytearray(connection.execute("SELECT content FROM segments WHERE first = 11").fetchone()[0])
            content[-9] ^= 1
            connection.execute("UPDATE segments SET content = ? WHERE first = 11", (bytes(content),))

        journal.file.run(spoil, write=True)
        with pytest.warns(RuntimeWarning, match="none is missing"):
            found = [item for _, item in journal.read("a")]
    assert found == [record(number) for number in range(20 + 6 * SIZE)]


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3), st.integers(0, 5)), max_size=30),
    wanted=st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-4, 4), max_size=6),
    page=st.integers(1, 4),
)
def test_every_key_of_a_run_is_found(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[int, int]], wanted: list[int], page: int
) -> None:
    ordered = sorted(pairs)
    keys, numbers = (np.array([pair[place] for pair in ordered], dtype=np.int64) for place in (0, 1))
    asked = np.unique(np.array(wanted + [key for key, _ in ordered[::3]], dtype=np.int64))
    with pytest.MonkeyPatch.context() as patch, Journal(tmp_path_factory.mktemp("run") / "journal.sqlite") as journal:
        patch.setattr(segments, "KEYS_OF_PAGE", page)
        journal.file.run(lambda connection: add_run(connection, 1, keys, numbers), write=True)
        found = journal.file.run(lambda connection: numbers_with(connection, 1, asked))
    assert found == {number for key, number in pairs if key in set(asked.tolist())}


def test_a_run_that_is_being_dropped_is_not_appended_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys go some at a time, and what they would have told of is not asked of those that are left."""
    monkeypatch.setattr(segments, "PAGES_AT_ONCE", 2)
    keys, packed = np.arange(2_000), decisions(0, 4).packed()
    fresh = [Segment(1, 4, "a", 1, 0, zlib.crc32(packed), packed)]

    def append(connection: Any) -> bool:
        return append_segments(connection, fresh, Known(0, frozenset()))[1]

    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.open()
        journal.file.run(lambda connection: add_run(connection, 1, keys, np.zeros_like(keys)), write=True)
        rounds = 0
        while journal.file.run(drop_idle_runs, write=True):
            rounds += 1
            assert not journal.file.run(append, write=True)
            assert journal.file.run(begin_run) == 2
        assert rounds == 2_000 / segments.KEYS_OF_PAGE / 2 and journal.file.run(has_segments) is False
        assert journal.file.run(begin_run) == 1 and not journal.file.run(append, write=True)


def test_equal_numbers_of_different_signs_stay_different() -> None:
    made = decisions(0, 4)
    for zeros in ([0.0, -0.0, 0.0, 0.0], [-0.0] * 4):
        columns = DecisionColumns(4, {**made.columns, "reward": np.array(zeros)})
        found = DecisionColumns.unpacked(columns.packed()).records()
        assert [repr(item.reward) for item in found] == [*map(repr, zeros)]


def test_a_key_is_of_its_text() -> None:
    assert text_keys(["a", "b", "a", None])[[0, 2]].tolist() == [text_keys(["a"])[0]] * 2
    assert len(set(text_keys([str(number) for number in range(10_000)]).tolist())) == 10_000
