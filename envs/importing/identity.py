"""Names for decisions that came without an ``event_id``, such that importing a file again adds nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from envs.record import DecisionRecord

PLACEHOLDER = "?"
OPENING = 64


class Identifier:
    """Gives each decision of one file its ``event_id``.

    A row with a timestamp or an episode is known by its content: the same decision in two exports is one.
    Where a file has the same content again, that is another decision (:func:`repeated` names it, when the
    file is read). A row without either says nothing about which decision it was, and two equal ones are two
    decisions: it is known by its place in a file that begins with the same rows, so that a file that has
    grown adds only what is new.

    Args:
        state: :attr:`state` of the one to go on from.
    """

    def __init__(self, state: str = "") -> None:
        opened, _, self._opening = state.partition(":")
        self._opened = int(opened or 0)

    @property
    def state(self) -> str:
        """All that the names of later rows depend on."""
        return f"{self._opened}:{self._opening}"

    def identified(self, record: DecisionRecord, content: Mapping[str, Any], row: int) -> tuple[DecisionRecord, str]:
        """The record, read with :data:`PLACEHOLDER` for its missing ``event_id``, under its own name.

        Returns:
            The record, and the digest of its content where it is named by that, else an empty text.
        """
        digest = record.content_hash
        if content.get("timestamp") is not None or content.get("episode_id") is not None:
            return repeated(record, digest, 0), digest
        if self._opened < OPENING:
            self._opening = _digest(f"{self._opening}:{digest}")
            self._opened += 1
        return _named(record, f"place:{self._opening}:{row}:{digest}"), ""


def repeated(record: DecisionRecord, digest: str, before: int) -> DecisionRecord:
    """A record known by its content, of which its file has so many ``before`` it."""
    return _named(record, f"content:{digest}:{before}")


def _named(record: DecisionRecord, name: str) -> DecisionRecord:
    event = f"import-{_digest(name)[:32]}"
    return replace(record, event_id=event, episode_id=event if record.is_single else record.episode_id)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
