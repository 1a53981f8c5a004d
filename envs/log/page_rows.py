"""What is about to leave the journal, as rows of the sealed table and as the keys by which it is known afterwards."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from envs.journal.departing import Page
from envs.journal.sealed import column_keys, row_keys
from envs.log.rows import seal_rows
from envs.log.segment_rows import segment_rows


@dataclass(frozen=True, slots=True)
class PageRows:
    """A page as it is sealed.

    Attributes:
        table: its rows: outcomes that stand apart from their decision, then the decisions in order.
        keys: keys and values by which the events are known.
    """

    table: pa.Table
    keys: list[tuple[bytes, bytes]]


def page_rows(page: Page, split_key: bytes, today: date) -> PageRows:
    """The rows and keys of a page.

    Nothing meets a segment, so no outcome of the page is about one of its decisions.

    Args:
        page: the events.
        split_key: the home's.
        today: the date of decisions without a time.
    """
    single, hashes = seal_rows(page.rows, split_key, today)
    keys = [pair for row, digest in hashes for pair in row_keys(row, digest)]
    decided = [position for position, row in page.rows if row.decision_id is None]
    apart = single.num_rows - len(decided)
    tables, done = [single.slice(0, apart)], 0
    for segment in page.segments:
        decisions = segment.decisions()
        found = segment_rows(decisions, segment.first, split_key, today)
        before = bisect_left(decided, segment.first)
        tables += [single.slice(apart + done, before - done), found.table]
        done = before
        keys += column_keys(decisions, found.hashes)
    tables.append(single.slice(apart + done))
    return PageRows(pa.concat_tables([table for table in tables if table.num_rows]), keys)
