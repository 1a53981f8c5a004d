"""Where decisions are: alone in their episode, or at a step of one that has others.

The journal's indices refuse the same ``event_id`` and the same step of an episode twice. They do not see that an
episode is of two tenants, or that its first step is there both ways.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain

from envs.journal.rows import ALONE, PLACED, JournalRow
from envs.journal.statements import VARIABLES, chunks

_ANY = f"SELECT 1 FROM events WHERE {PLACED} LIMIT 1"
_BESIDE_ALONE = f"SELECT 1 FROM events WHERE {PLACED} AND agent = ? AND episode_id IN ("
# One step tells whose an episode is: all of its steps are of one tenant.
_BESIDE_PLACED = f"""
SELECT 1 FROM asked WHERE tenant <>
    (SELECT tenant FROM events WHERE {PLACED} AND agent = asked.agent AND episode_id = asked.episode LIMIT 1)
OR EXISTS (SELECT 1 FROM events WHERE {ALONE} AND event_id = asked.episode AND agent = asked.agent
    AND (tenant <> asked.tenant OR asked.first)) LIMIT 1"""


def may_clash(connection: sqlite3.Connection, rows: Sequence[JournalRow]) -> bool:
    """Whether decisions may contradict where others are, in the journal or among them, unseen by its indices.

    Args:
        connection: to the journal.
        rows: decisions.
    """
    alone: dict[str, list[str]] = defaultdict(list)
    episodes: dict[tuple[str, str], tuple[str, bool]] = {}
    for row in rows:
        if row.shadow:
            continue
        if row.step == 0 and row.episode_id == row.event_id:
            alone[row.agent].append(row.event_id)
            continue
        place = (row.agent, row.episode_id)
        tenant, first = episodes.get(place, (row.tenant, False))
        if tenant != row.tenant:
            return True
        episodes[place] = tenant, first or row.step == 0
    if episodes and any((agent, event) in episodes for agent, events in alone.items() for event in events):
        return True
    return _beside_alone(connection, alone) or _beside_placed(connection, episodes)


def _beside_alone(connection: sqlite3.Connection, alone: dict[str, list[str]]) -> bool:
    if connection.execute(_ANY).fetchone() is None:
        return False
    return any(
        connection.execute(f"{_BESIDE_ALONE}{','.join('?' * len(chunk))}) LIMIT 1", (agent, *chunk)).fetchone()
        for agent, events in alone.items()
        for chunk in chunks(events)
    )


def _beside_placed(connection: sqlite3.Connection, episodes: dict[tuple[str, str], tuple[str, bool]]) -> bool:
    asked = [(*place, *owner) for place, owner in episodes.items()]
    for part in chunks(asked, VARIABLES // 4):
        values = f"WITH asked (agent, episode, tenant, first) AS (VALUES {', '.join(['(?, ?, ?, ?)'] * len(part))})"
        if connection.execute(values + _BESIDE_PLACED, list(chain.from_iterable(part))).fetchone():
            return True
    return False
