"""A refusal says that the episode has ended, wherever its end was recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ai_engine.continuous_learning import LearningPipeline
from envs.errors import DataError, DuplicateRecordError
from envs.journal import ended
from envs.journal.journal import Journal
from envs.log.sealing import seal
from tests.envs.log.logs import AGENT, home_at, record

OVER = (
    f"agent {AGENT}, event again: step: 0 of episode 'e' is there already, and the episode ended at step 1;"
    " give what comes after its end an episode_id of its own"
)
TAKEN = f"agent {AGENT}, event again: step: 0 of episode 'e' is there already; number an episode's decisions 0, 1, 2, …"


def refusal(journal: Journal, *more: Any) -> str:
    with pytest.raises(DuplicateRecordError) as caught:
        journal.append([*more, record("again", "e", 0)])
    assert caught.value.field == "step"
    return str(caught.value)


@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_what_is_recorded_after_an_end_is_told_of_it(tmp_path: Path, end: str) -> None:
    home = home_at(tmp_path)
    with Journal(home.journal_path) as journal:
        journal.append([record("first", "e", 0), record("last", "e", 1, **{end: True})])
        assert refusal(journal) == OVER
        assert refusal(journal, record("other")) == OVER, "of several rows the one that is refused"
        seal(home)
        assert refusal(journal) == OVER
        assert journal.counts() == {AGENT: 2}


def test_in_an_episode_that_goes_on_nothing_is_said_of_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(home_at(tmp_path).journal_path) as journal:
        journal.append([record("first", "e", 0), record("last", "e", 1), record("x", "other", 0, terminated=True)])
        assert refusal(journal) == TAKEN
        journal.append([record("end", "e", 2, terminated=True)])

        def unreadable(*_: Any) -> None:
            raise DataError("cannot be read")

        monkeypatch.setattr(ended, "last_decisions", unreadable)
        assert refusal(journal) == TAKEN, "why it is refused is said, whatever cannot be read"


def test_a_buffered_record_is_told_of_it_by_the_flush(tmp_path: Path) -> None:
    with LearningPipeline(home_at(tmp_path), durability="buffered") as pipeline:
        pipeline.record_many([record("first", "e", 0), record("last", "e", 1, terminated=True)])
        pipeline.record(record("again", "e", 0))
        pipeline.record(record("fine"))
        with pytest.raises(DuplicateRecordError) as caught:
            pipeline.flush()
        assert str(caught.value) == OVER
        assert Journal(pipeline.home.journal_path).counts() == {AGENT: 3}
