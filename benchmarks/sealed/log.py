"""What happened in a sealed world, and the two forms in which the pipeline may see it: a dataset, and JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.trust.worlds import Log, join

DAY = 86_400.0


@dataclass(frozen=True, eq=False)
class SealedLog:
    """E episodes with all that a family adds to them.

    Attributes:
        log: the episodes.
        moments: float64 (E,), when each began, in seconds since the log did; a decision takes a second.
        worst: bool (E, H), outcomes of the worst class.
        executed: int64 (E, H), what was done instead of what was requested.
        known: bool (E,), whether the outcomes are known when the log is read.
        matured: bool (E,), whether they would be by then, whatever they are.
    """

    log: Log
    moments: np.ndarray
    worst: np.ndarray
    executed: np.ndarray
    known: np.ndarray
    matured: np.ndarray

    @classmethod
    def of(cls, log: Log) -> SealedLog:
        """Episodes one a minute, to which nothing happened."""
        every = np.ones(len(log), dtype=bool)
        return cls(log, np.arange(len(log)) * 60.0, np.zeros(log.actions.shape, dtype=bool), log.actions, every, every)

    def __len__(self) -> int:
        return len(self.log)

    def select(self, chosen: np.ndarray) -> SealedLog:
        """Some of the episodes."""
        others = {column.name: getattr(self, column.name)[chosen] for column in fields(self) if column.name != "log"}
        return SealedLog(self.log.select(chosen), **others)

    def alone(self) -> SealedLog:
        """Every decision as an episode of its own, which terminates; H is 1 then."""
        log, active = self.log, self.log.active
        count = int(active.sum())
        states = np.repeat(log.states[:, :-1][active][:, None], 2, axis=1)
        flat = Log(
            states,
            log.actions[active][:, None],
            log.rewards[active][:, None],
            np.ones((count, 1), dtype=bool),
            np.ones(count, dtype=bool),
            log.probabilities[active][:, None],
        )
        episode, step = np.nonzero(active)
        return SealedLog(
            flat,
            self.moments[episode] + step,
            self.worst[active][:, None],
            self.executed[active][:, None],
            self.known[episode],
            self.matured[episode],
        )


def joined(logs: list[SealedLog]) -> SealedLog:
    """Logs one after the other."""
    others = {
        column.name: np.concatenate([getattr(log, column.name) for log in logs])
        for column in fields(SealedLog)
        if column.name != "log"
    }
    return SealedLog(join([log.log for log in logs]), **others)


def write_jsonl(path: Path, sealed: SealedLog, *, name: str, version: str, begin: np.datetime64) -> None:
    """Write what is known of a log as JSON Lines, one decision a line.

    Args:
        path: the file.
        sealed: the log.
        name: makes ids unique.
        version: of the policy that decided.
        begin: when the log began.
    """
    with path.open("w", encoding="utf-8") as stream:
        for row in _rows(sealed.select(np.flatnonzero(sealed.known)), name, version, begin):
            stream.write(json.dumps(row) + "\n")


def _rows(sealed: SealedLog, name: str, version: str, begin: np.datetime64) -> Iterator[dict[str, Any]]:
    log = sealed.log
    lengths = log.active.sum(axis=1)
    for episode, length in enumerate(lengths.tolist()):
        for step in range(length):
            last = step == length - 1
            moment = begin + np.timedelta64(round(1e3 * (sealed.moments[episode] + step)), "ms")
            row: dict[str, Any] = {
                "event_id": f"{name}-{episode}-{step}",
                "episode_id": f"{name}-{episode:06d}",
                "step": step,
                "timestamp": f"{moment}Z",
                "observation": int(log.states[episode, step]),
                "action": f"a{log.actions[episode, step]}",
                "action_probabilities": log.probabilities[episode, step].tolist(),
                "outcome": {
                    "earned": float(log.rewards[episode, step]),
                    "broken": int(sealed.worst[episode, step]),
                },
                "policy_version": version,
            }
            if sealed.executed[episode, step] != log.actions[episode, step]:
                row["executed_action"] = f"a{sealed.executed[episode, step]}"
            if last:
                ended = bool(log.terminated[episode])
                row |= {"terminated": ended, "truncated": not ended}
                row["next_observation"] = int(log.states[episode, length])
            yield row
