"""RLlib's column layout: steps without numbers, put back into their episodes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MAXIMUM_EPISODES = 1_000_000
"""Episodes whose place is remembered; a file with more is to be read in parts."""
OPENING = 64
"""Rows by which a folder is known that begins as another."""
NEEDED = ("eps_id", "obs", "actions", "rewards", "new_obs", "terminateds", "truncateds")


class RowError(ValueError):
    """A row of the column layout that is not imported."""

    def __init__(self, field: str, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.field, self.problem, self.remedy = field, problem, remedy


@dataclass(slots=True)
class _Place:
    first: bytes
    following: bytes
    step: int = 0
    ended: bool = False


class ColumnEpisodes:
    """Numbers the steps of each episode as they come, and knows an episode that is written once more.

    A step belongs behind another where its observation is what the other led to. The row with which an episode
    began, where it does not continue it, begins the same episode again: RLlib wrote it twice.
    """

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}
        self._folder, self._opening = "", [b""]

    def begin(self, folder: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """A file begins. The first of another folder, where it begins as the folder before, tells all once more.

        By its observations alone an open episode that is back where it began would seem to go on there.

        Args:
            folder: the file's.
            rows: its first ones, :data:`OPENING` at most.
        """
        if folder == self._folder:
            return
        opening = list(map(_digest, rows))
        if not opening:
            return
        if opening[: len(self._opening)] == self._opening[: len(opening)]:
            self._places.clear()
        self._folder, self._opening = folder, opening

    def content(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row by the record's names.

        Raises:
            RowError: a column is missing, compressed, or the row continues no episode.
        """
        for name in NEEDED:
            if row.get(name) is None:
                raise RowError(name, "is missing", "record it with RLlib's offline_data(output=...)")
        name = row["eps_id"]
        if not isinstance(name, str) or not name:
            raise RowError("eps_id", "is no text", "record it with RLlib's offline_data(output=...)")
        if row.get("agent_id") is not None:
            raise RowError("agent_id", "is of several agents", "record one agent at a time")
        for column in ("obs", "new_obs", "actions"):
            if isinstance(row[column], (bytes, str)):
                remedy = "record it with offline_data(output_compress_columns=[])"
                raise RowError(column, "is compressed with pickle, which is never unpickled", remedy)
        for column in ("terminateds", "truncateds"):
            if not isinstance(row[column], bool):
                raise RowError(column, "is no boolean", "record it with RLlib's offline_data(output=...)")
        step = self._step(name, row)
        action = _action(row["actions"])
        content: dict[str, Any] = {
            "event_id": f"{name}-{step}",
            "episode_id": name,
            "step": step,
            "observation": _observation(row["obs"]),
            "action": action,
            "reward": row["rewards"],
            # Of every row: which is the last of its episode is not known before the file's end.
            "next_observation": _observation(row["new_obs"]),
        }
        if row["terminateds"]:
            content["terminated"] = True
        if row["truncateds"]:
            content["truncated"] = True
        logged = row.get("action_logp")
        if isinstance(logged, float):
            content["propensity"] = propensity(logged, action)
        return content

    def _step(self, name: str, row: Mapping[str, Any]) -> int:
        own, before = _digest(row), _digest(row["obs"])
        following, ended = _digest(row["new_obs"]), bool(row["terminateds"] or row["truncateds"])
        place = self._places.get(name)
        if place is None:
            if len(self._places) >= MAXIMUM_EPISODES:
                raise RowError("eps_id", f"is more than the {MAXIMUM_EPISODES:,}th", "import the recording in parts")
            self._places[name] = _Place(own, following, 0, ended)
            return 0
        if not place.ended and before == place.following:
            place.step += 1
        elif own == place.first:
            place.step = 0
        else:
            raise RowError("obs", f"does not follow step {place.step} of its episode", "import the whole recording")
        place.following, place.ended = following, ended
        return place.step


def propensity(logged: float, action: Any) -> float:
    """``exp(action_logp)``: a probability, which rounding must not carry beyond 1, or a density."""
    try:
        found = math.exp(logged)
    except OverflowError:
        return math.inf
    return 1.0 if not isinstance(action, Mapping) and 1.0 < found < 1.0 + 1e-5 else found


def _digest(value: Any) -> bytes:
    return hashlib.blake2b(repr(value).encode("utf-8", "replace"), digest_size=12).digest()


def _observation(value: Any) -> Any:
    """As :func:`envs.importing.step_values.observations` has it, for one step."""
    if isinstance(value, list):
        return _flat(value)
    if isinstance(value, float):
        return [value]
    if isinstance(value, Mapping):
        return {name: _part(item) for name, item in value.items()}
    return value


def _part(value: Any) -> Any:
    if isinstance(value, list):
        return {str(place): item for place, item in enumerate(_flat(value))}
    return {name: _part(item) for name, item in value.items()} if isinstance(value, Mapping) else value


def _action(value: Any) -> Any:
    if isinstance(value, float):
        return {"0": value}
    if isinstance(value, list):
        return {str(place): item for place, item in enumerate(_flat(value))}
    if isinstance(value, Mapping):
        out: dict[str, Any] = {}
        for name, item in value.items():
            inner = _action(item)
            out |= (
                {f"{name}.{part}": number for part, number in inner.items()}
                if isinstance(inner, dict)
                else {name: inner}
            )
        return out
    return value


def _flat(values: list[Any]) -> list[Any]:
    out: list[Any] = []
    for item in values:
        out += _flat(item) if isinstance(item, list) else [item]
    return out
