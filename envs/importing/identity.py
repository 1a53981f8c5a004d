"""Names for decisions that came without an ``event_id``, such that importing a file again adds nothing."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from envs.record import DecisionRecord

PLACEHOLDER = "?"
OPENING = 64


class Identifier:
    """Gives each decision of one file its ``event_id``.

    A row with a timestamp or an episode is known by its content (and by how often that content came
    before, in this file): the same decision in two exports is one. A row without either says nothing
    about which decision it was, and two equal ones are two decisions: it is known by its place in a
    file that begins with the same rows, so that a file that has grown adds only what is new.
    """

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._opening = ""
        self._opened = 0

    def identified(self, record: DecisionRecord, content: Mapping[str, Any], row: int) -> DecisionRecord:
        """The record, read with :data:`PLACEHOLDER` for its missing ``event_id``, under its own name."""
        digest = record.content_hash
        if content.get("timestamp") is not None or content.get("episode_id") is not None:
            name = _digest(f"content:{digest}:{self._seen[digest]}")
            self._seen[digest] += 1
        else:
            if self._opened < OPENING:
                self._opening = _digest(f"{self._opening}:{digest}")
                self._opened += 1
            name = _digest(f"place:{self._opening}:{row}:{digest}")
        event = f"import-{name[:32]}"
        return replace(record, event_id=event, episode_id=event if record.is_single else record.episode_id)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
