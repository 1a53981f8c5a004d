"""A log, in which episodes stand mixed, episode after episode: put in order on the disk, not in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from envs.record import DecisionRecord, stored_text, trusted


class EpisodeFile:
    """Decisions by episode, in a file that the caller removes.

    Args:
        path: the file, which is made.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(
            "CREATE TABLE decision (tenant TEXT, episode TEXT, step INTEGER, place INTEGER, content TEXT)"
        )

    def add(self, records: Iterable[DecisionRecord]) -> int:
        """Put all records in; how many there are."""
        rows = (
            (record.tenant, record.episode_id, record.step, place, stored_text(record))
            for place, record in enumerate(records)
        )
        with self._database:
            added = self._database.executemany("INSERT INTO decision VALUES (?, ?, ?, ?, ?)", rows).rowcount
            self._database.execute("CREATE INDEX by_episode ON decision (tenant, episode, step)")
        return max(added, 0)

    def episodes(self) -> Iterator[list[DecisionRecord]]:
        """The decisions of each episode in the order of their steps, the episode that began first before the others."""
        names = self._database.execute(
            "SELECT tenant, episode FROM decision GROUP BY tenant, episode ORDER BY MIN(place)"
        )
        for tenant, episode in names:
            found = self._database.execute(
                "SELECT content FROM decision WHERE tenant = ? AND episode = ? ORDER BY step, place", (tenant, episode)
            )
            yield [trusted(content) for (content,) in found]

    def close(self) -> None:
        """Close it."""
        self._database.close()
