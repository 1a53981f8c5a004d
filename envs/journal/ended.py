"""A step that is there already, where the reason is that its episode has ended: the refusal says so."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from envs.errors import DuplicateRecordError, RetrainerError
from envs.journal.reading import last_decisions

if TYPE_CHECKING:
    from envs.journal.journal import Journal
    from envs.journal.rows import JournalRow


def with_end(journal: Journal, row: JournalRow, error: DuplicateRecordError) -> DuplicateRecordError:
    """The refusal of a row; where its step is taken in an episode that has ended, with that, and what to do then."""
    with suppress(RetrainerError):  # what cannot be read of the log must not hide why the row was refused
        last = last_decisions(journal, row.agent, row.tenant, row.episode_id) if error.field == "step" else []
        if last and (last[-1].terminated or last[-1].truncated):
            problem = f"{error.complaint}, and the episode ended at step {last[-1].step}"
            remedy = "give what comes after its end an episode_id of its own"
            return DuplicateRecordError(problem, field="step", where=error.where, remedy=remedy)
    return error
