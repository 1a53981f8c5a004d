"""Which staged rows belong together: those that have a key in common, by however many others."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any


def linked(connection: sqlite3.Connection, condition: str, value: str) -> Iterator[list[int]]:
    """The numbers of rows of a condition that belong together, decisions first.

    Args:
        connection: to a staging file.
        condition: over the keys.
        value: a column, or an expression of some; rows of one value belong together, and those linked by an event.
    """
    _unite(connection, condition, value)
    cursor = connection.execute(
        f"SELECT number, COALESCE(root, {value}) AS whole FROM keys LEFT JOIN roots ON part = {value}"
        f" WHERE {condition} ORDER BY whole, decision IS NOT NULL, number"
    )
    group: list[int] = []
    current: Any = None
    while listed := cursor.fetchmany(1000):
        for number, whole in listed:
            if group and whole != current:
                yield group
                group = []
            group.append(number)
            current = whole
    if group:
        yield group


def _unite(connection: sqlite3.Connection, condition: str, value: str) -> None:
    """Find out which values share an event: there are few, as one event belongs to one episode."""
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS roots (part INTEGER PRIMARY KEY, root INTEGER)")
    connection.execute("DELETE FROM roots")
    roots: dict[int, int] = {}

    def root(part: int) -> int:
        while (above := roots.get(part, part)) != part:
            part = above
        return part

    shared = f"SELECT event FROM keys WHERE {condition} GROUP BY event HAVING MIN({value}) < MAX({value})"
    select = f"SELECT event, {value} FROM keys WHERE {condition} AND event IN ({shared}) ORDER BY event"
    event, first = None, 0
    for now, part in connection.execute(select).fetchall():
        if now != event:
            event, first = now, part
        roots[root(part)] = root(first)
    connection.executemany("INSERT INTO roots VALUES (?, ?)", [(part, root(part)) for part in list(roots)])
