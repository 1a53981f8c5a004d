"""Staged rows in blocks: nothing is lost in them, and whatever rows share is found."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.errors import RetrainerError
from envs.home import Home
from envs.importing import blocks
from envs.importing.blocks import StagedRow, packed, unpacked
from envs.importing.importer import import_files
from envs.importing.row_keys import key_of
from envs.importing.staging import DOUBTFUL, FRESH, KNOWN, REJECTED, Staging
from envs.journal.errors import DamagedContentError
from envs.journal.rows import JournalRow
from tests.envs.importing.import_samples import SPECIFICATION, jsonl, rows, stored


def staged(number: int, event: int, episode: int, step: int, tenant: int, kind: int) -> StagedRow:
    name, text = f"e{event}", f'{{"number":{number},"text":"ä\\n"}}'
    checksum = zlib.crc32(text.encode())
    if kind == 2:
        made = JournalRow(name, f"e{episode}", "scaling", "", "", 0, 1, checksum, text)
    else:
        made = JournalRow(name, None, "scaling", f"t{tenant}", f"p{episode}", step, kind, checksum, text)
    return StagedRow(number, 1, 10 * number, "digest" if number % 3 == 0 else "", made)


PARTS = st.tuples(*(st.integers(0, top) for top in (30, 12, 3, 1, 2)))
ROWS = st.lists(PARTS, min_size=1, max_size=24).map(
    lambda parts: [staged(number, *part) for number, part in enumerate(parts, 1)]
)


@given(ROWS)
def test_a_block_gives_back_its_rows(content: list[StagedRow]) -> None:
    block = packed(content)
    assert unpacked(block) == content
    assert (block.first, block.last, block.size) == (1, len(content), len(content))
    for name in ("facts", "contents"):
        whole = getattr(block, name)
        with pytest.raises(DamagedContentError):
            unpacked(block._replace(**{name: whole[:-1] + bytes([whole[-1] ^ 1])}))


def _meets(row: StagedRow, other: StagedRow) -> bool:
    """Whether two rows share their event, a step, an episode of different tenants, or one is the other's outcome."""
    one, two = row.event, other.event
    if one.event_id == two.event_id or two.decision_id == one.event_id:
        return True
    if one.shadow or two.shadow or one.episode_id != two.episode_id:
        return False
    return one.step == two.step or one.tenant != two.tenant


@settings(max_examples=60, deadline=None)
@given(content=ROWS, size=st.integers(1, 7), at_once=st.integers(1, 30))
def test_what_meets_is_found_in_whatever_parts_it_is_looked_for(
    content: list[StagedRow], size: int, at_once: int
) -> None:
    expected = {
        row.number
        for row in content
        if row.event.decision_id is not None
        or any(_meets(row, other) for other in content if other is not row)
        # All of an episode that is of several tenants.
        or any(
            _meets(one, two)
            for one in content
            for two in content
            if one.event.tenant != two.event.tenant and not row.event.shadow
            if one.event.episode_id == two.event.episode_id == row.event.episode_id
            if not (one.event.shadow or two.event.shadow)
        )
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "AT_ONCE", at_once)
        staging = Staging(None, ["a", "b"])
        for start in range(0, len(content), size):
            part = content[start : start + size]
            staging.add(part, [FRESH] * len(part))
        assert {row.number for part in staging._blocks.meeting() for row in part} == expected
        staging.single_out_meeting()
        named = {number for (number,) in staging._connection.execute("SELECT number FROM keys")}
        assert named == expected


@settings(max_examples=60, deadline=None)
@given(content=ROWS, size=st.integers(1, 7), data=st.data())
def test_rows_of_each_state_come_in_order_wherever_they_are_kept(
    content: list[StagedRow], size: int, data: st.DataObject
) -> None:
    states = data.draw(
        st.lists(st.sampled_from([FRESH, KNOWN, DOUBTFUL]), min_size=len(content), max_size=len(content))
    )
    staging = Staging(None, ["a", "b"])
    for start in range(0, len(content), size):
        staging.add(content[start : start + size], states[start : start + size])
    model = dict(zip([row.number for row in content], states, strict=True))
    staging.single_out_meeting()
    for row in data.draw(st.lists(st.sampled_from(content), max_size=4)):
        state = data.draw(st.sampled_from([FRESH, KNOWN, DOUBTFUL, REJECTED]))
        staging.mark([row], state)
        model[row.number] = state
    wanted = data.draw(st.sets(st.sampled_from([FRESH, KNOWN, DOUBTFUL, REJECTED]), min_size=1))
    after, page = data.draw(st.integers(0, len(content))), data.draw(st.integers(1, 5))
    found = list(staging.pages(sorted(wanted), page, after=after))
    assert all(len(part) <= page for part in found)
    assert [row for part in found for row in part] == [
        row for row in content if row.number > after and model[row.number] in wanted
    ]
    for state in (FRESH, KNOWN, DOUBTFUL, REJECTED):
        assert staging.count(state) == list(model.values()).count(state)
    assert staging.next_number() == len(content) + 1


def test_keys_are_the_same_in_every_process() -> None:
    """What one process has staged another goes on with."""
    row = staged(1, 2, 3, 4, 0, 0)
    code = (
        "from envs.importing.row_keys import key_of; from envs.journal.rows import JournalRow;"
        f"print(key_of({row.event!r}))"
    )
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        found = subprocess.run([sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.PIPE)
        assert found.stdout.decode().strip() == repr(key_of(row.event))


def test_a_repetition_does_not_take_the_name_of_another_row(tmp_path: Path) -> None:
    """The name that the second of two equal rows gets is looked for among all rows, not among those that met."""
    (row,) = rows(1)
    for name in ("event_id", "episode_id", "step", "terminated"):
        del row[name]
    first = Home.create(tmp_path / "first", split_key=bytes(32))
    first.declare(SPECIFICATION)
    import_files(first, "scaling", [jsonl(tmp_path / "twice.jsonl", [row, row])])
    names = [record.event_id for record in stored(first)]
    taken = {**row, "event_id": names[1], "reward": 4.0}
    home = Home.create(tmp_path / "home", split_key=bytes(32))
    home.declare(SPECIFICATION)
    mixed = jsonl(tmp_path / "mixed.jsonl", [row, row, taken, *rows(8)])
    with pytest.raises(RetrainerError, match="was recorded before with other content"):
        import_files(home, "scaling", [mixed])
    report = import_files(home, "scaling", [mixed], keep_good=True)
    assert report.added == 10 and [found.row for found in report.rejected] == [3]
