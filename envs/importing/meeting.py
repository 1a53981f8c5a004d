"""Staged rows that meet each other: the same event, the same step, an episode of two tenants, one decision's outcomes.

Rows that share no key cannot contradict each other. Which do is found by sorting the keys, and only those rows
are compared, some at a time: as if they were appended one after another, decisions first. The first of two is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from envs.errors import DuplicateRecordError, RecordError
from envs.importing.blocks import StagedRow
from envs.importing.identity import repeated
from envs.importing.row_keys import Keys, key_of
from envs.importing.staging import DOUBTFUL, FRESH, KNOWN, REPETITION, Staging
from envs.journal.conflicts import Findings, find_conflicts
from envs.journal.journal import Journal
from envs.journal.rows import JournalRow, row_of
from envs.record import trusted

AT_ONCE = 2000
REPAIR = 'or, after an import that was wrong, go on as docs/import.md says under "A wrong import"'
RENAMED = 200_000  # rows whose new names are looked for among all others at once
OPEN = f"state IN ({FRESH}, {DOUBTFUL})"
REPEATED = f"""{OPEN} AND naming = 1 AND event IN (
    SELECT event FROM keys WHERE {OPEN} AND naming = 1 GROUP BY event HAVING COUNT(*) > 1)"""
DECISIONS = f"""decision IS NULL AND (state = {DOUBTFUL} OR state = {FRESH} AND (
    event IN (SELECT event FROM keys WHERE {OPEN} AND decision IS NULL GROUP BY event HAVING COUNT(*) > 1)
    OR step IN (SELECT step FROM keys WHERE {OPEN} AND step IS NOT NULL GROUP BY step HAVING COUNT(*) > 1)
    OR episode IN (SELECT episode FROM keys WHERE {OPEN} AND episode IS NOT NULL
        GROUP BY episode HAVING MIN(tenant) < MAX(tenant))))"""
OUTCOMES = f"""{OPEN} AND (decision IS NOT NULL
    OR event IN (SELECT decision FROM keys WHERE {OPEN} AND decision IS NOT NULL)
    OR event IN (SELECT event FROM keys WHERE {OPEN} AND decision IS NOT NULL))"""


def findings(journal: Journal, rows: list[JournalRow]) -> Findings:
    """What appending rows to the journal would do."""
    return journal.file.run(lambda connection: find_conflicts(connection, rows))


def settle(staging: Staging, journal: Journal, *, alone: bool) -> None:
    """Compare the staged rows with each other, and the doubtful ones with the journal.

    Afterwards a row is fresh, known, repeated, or rejected, and it is noted how many outcomes met no decision.

    Args:
        staging: the rows.
        journal: the journal.
        alone: whether the journal is empty.
    """
    staging.single_out_meeting()
    renamed: list[Keys] = []
    for group in staging.groups(REPEATED, "event"):
        renamed += _rename(staging, group)
        if len(renamed) >= RENAMED:
            staging.single_out_like(renamed)
            renamed = []
    staging.single_out_like(renamed)
    if not alone:
        # Which of several equal rows one is had to be known before the journal could be asked for it.
        for page in staging.pages((FRESH, DOUBTFUL), AT_ONCE, named=True):
            found = findings(journal, [row.event for row in page])
            fresh = set(found.fresh)
            staging.mark((row for position, row in enumerate(page) if position not in fresh), DOUBTFUL)
            staging.mark((page[position] for position in found.fresh), FRESH)
    for rows in _joined(staging.groups(DECISIONS, "COALESCE(episode, event)")):
        _compare(staging, journal, rows)
    groups = _joined(staging.groups(OUTCOMES, "COALESCE(decision, event)"))
    staging.note(unmet=sum(_compare(staging, journal, rows) for rows in groups))


def _rename(staging: Staging, group: list[StagedRow]) -> list[Keys]:
    """Give the repetitions of a content in one file names of their own; the keys of the rows that got one."""
    renamed: list[Keys] = []
    seen: Counter[tuple[str, int]] = Counter()
    for row in group:
        before = seen[row.naming, row.file]
        seen[row.naming, row.file] += 1
        if before:
            event = row_of(repeated(trusted(row.event.content), row.naming, before))
            staging.replace(row._replace(event=event), DOUBTFUL)
            renamed.append(key_of(event))
    return renamed


def _compare(staging: Staging, journal: Journal, rows: list[StagedRow]) -> int:
    """Give rows their states; how many are outcomes that met no decision."""
    found = findings(journal, [row.event for row in rows])
    clashing = {conflict.position for conflict in found.conflicts}
    for conflict in found.conflicts:
        other = rows[conflict.other] if conflict.other is not None else None
        _reject(staging, rows[conflict.position], conflict.error, other)
    fresh = set(found.fresh)
    staging.mark((row for position, row in enumerate(rows) if position in fresh), FRESH)
    known = [row for position, row in enumerate(rows) if position not in fresh and position not in clashing]
    added = {rows[position].event.event_id for position in found.fresh}
    staging.mark((row for row in known if row.event.event_id not in added), KNOWN)
    staging.mark((row for row in known if row.event.event_id in added), REPETITION)
    return len(found.unmet)


def _reject(staging: Staging, row: StagedRow, error: RecordError, other: StagedRow | None) -> None:
    see = "" if other is None else f", see {staging.place(other)}"
    before = other is None and isinstance(error, DuplicateRecordError)  # it was recorded, perhaps by mistake
    remedy = f"{error.remedy}; {REPAIR}" if before else error.remedy
    staging.reject_staged(row, error.field, error.complaint + see, remedy)


def _joined(groups: Iterable[list[StagedRow]]) -> Iterator[list[StagedRow]]:
    """Several small groups as one."""
    rows: list[StagedRow] = []
    for group in groups:
        rows += group
        if len(rows) >= AT_ONCE:
            yield rows
            rows = []
    if rows:
        yield rows
