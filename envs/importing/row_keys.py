"""The keys of rows that are imported: whoever has a key in common may be of the same event, step or episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from envs.journal.columns import Column, Objects, Same
from envs.journal.decision_columns import DecisionColumns
from envs.journal.keys import episode_keys, paired_keys, text_keys
from envs.journal.rows import JournalRow

EVENT, STEP, EPISODE, TENANT, DECISION, KIND = range(6)  # rows of an array of keys
BESIDE, PLACED, OUTCOME = range(3)  # kinds: beside the episodes, at a step of one, of a decision
Keys = tuple[int | None, int | None, int | None, int | None, int | None]


def key_of(row: JournalRow) -> Keys:
    """The keys of one row: of its event, step, episode and tenant, and of the decision that an outcome is about.

    Two that are equal by chance are looked at, and found to be different.
    """
    keys = keys_of({name: (value,) for name, value in row._asdict().items()})
    event, step, episode, tenant, decision, kind = keys[:, 0].tolist()
    if kind == PLACED:
        return event, step, episode, tenant, None
    return event, None, None, None, decision if kind == OUTCOME else None


def segment_keys(keys: np.ndarray) -> np.ndarray:
    """Of the keys of a block, those of its events and of the episodes that they have a place in."""
    episodes = keys[EPISODE][keys[KIND] == PLACED]
    begins = np.concatenate([[True], episodes[1:] != episodes[:-1]])[: len(episodes)]
    return np.concatenate([keys[EVENT], episodes[begins]])


def keys_of(columns: Mapping[str, Sequence[Any]]) -> np.ndarray:
    """Keys of rows of one agent, int64 (6, n), of the columns of the journal."""
    keys = np.empty((6, len(columns["event_id"])), dtype=np.int64)
    for place, name in ((EVENT, "event_id"), (EPISODE, "episode_id"), (DECISION, "decision_id")):
        keys[place] = text_keys(columns[name])
    keys[KIND] = np.where(np.array(columns["shadow"], dtype=bool), BESIDE, PLACED)
    keys[KIND, [decision is not None for decision in columns["decision_id"]]] = OUTCOME
    return _completed(keys, columns["agent"][0], columns["tenant"], columns["step"])


def keys_of_columns(decisions: DecisionColumns) -> np.ndarray:
    """The same of columns."""
    keys = np.zeros((6, decisions.count), dtype=np.int64)
    keys[EVENT] = text_keys(decisions.values("event_id"))
    keys[EPISODE] = keys[EVENT] if decisions.single else text_keys(decisions.values("episode_id"))
    agent, mode, tenant, step = (_few(decisions.columns[name]) for name in ("agent", "mode", "tenant", "step"))
    keys[KIND] = [BESIDE if one == "shadow" else PLACED for one in mode]
    return _completed(keys, agent[0], tenant, step)


def _few(column: Column) -> Sequence[Any]:
    """The values of a column; one, where all rows have the same."""
    if isinstance(column, Objects):
        raise TypeError("objects are no names")
    if isinstance(column, Same):
        return [column.value]
    return column.tolist() if isinstance(column, np.ndarray) else column


def _completed(keys: np.ndarray, agent: str, tenants: Sequence[str], steps: Sequence[int]) -> np.ndarray:
    keys[EPISODE] = episode_keys(agent, keys[EPISODE])
    keys[STEP] = paired_keys(keys[EPISODE], np.array(steps, dtype=np.int64))
    different = list(set(tenants))
    known = dict(zip(different, text_keys(different).tolist(), strict=True))
    keys[TENANT] = [known[tenant] for tenant in tenants]
    return keys
