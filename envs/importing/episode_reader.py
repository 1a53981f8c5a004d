"""Formats that keep whole episodes as arrays: their steps as rows, a slice of an episode at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from envs.importing import hdf5
from envs.importing.readers import RowBatch
from envs.importing.row_building import ROWS, in_batches, numbers_in, reason, rejected
from envs.importing.rows import SourceRow
from envs.importing.step_values import OddValuesError, actions, leaves, observations

SLICE = 16 * 2**20
"""Bytes of a slice, about."""
AGAIN = "write the file again, or leave the episode out"


@dataclass(frozen=True, slots=True)
class StoredEpisode:
    """One episode, its arrays not read yet.

    Attributes:
        name: its ``episode_id``.
        observations: a tree of arrays of T entries, or T + 1 where the last observation is known.
        actions: a tree of arrays of T entries.
        rewards: array of T entries.
        terminated: array of T entries, or whether the last step terminated.
        truncated: the same for truncations.
        fields: further fields of the record by name, each an array of at least T entries.
    """

    name: str
    observations: Any
    actions: Any
    rewards: Any
    terminated: Any
    truncated: Any
    fields: Mapping[str, Any] = field(default_factory=dict)


class EpisodeFile(Protocol):
    """A source of episodes."""

    def __len__(self) -> int:
        """Number of episodes."""

    def episode(self, index: int) -> StoredEpisode:
        """One of them; raises what :data:`READING` names where it cannot be read."""

    def complaint(self) -> str:
        """What is wrong with the file as a whole, told behind its last episode; empty for nothing."""

    def close(self) -> None:
        """Close it."""


READING = (hdf5.UnsafeError, OddValuesError, *hdf5.DAMAGE)


class EpisodeReader:
    """Reads the episodes of one source in their order; a row is a step.

    The position is ``episode:step:row``, of the next step.
    """

    def __init__(
        self,
        source: str,
        path: Path,
        opened: Callable[[], EpisodeFile],
        finish: Callable[[dict[str, Any]], dict[str, Any]] = lambda content: content,
    ) -> None:
        self.source = source
        self.preset: Mapping[str, Any] = {}
        self._path = path
        self._opened = opened
        self._finish = finish
        file = opened()
        self.size = len(file)
        file.close()

    def identity(self) -> str:
        """Size and time of modification."""
        found = self._path.stat()
        return f"{found.st_size}:{found.st_mtime_ns}"

    def batches(self, after: str = "") -> Iterator[RowBatch]:
        """The steps behind a position."""
        return in_batches(self._rows(after))

    def _rows(self, after: str) -> Iterator[tuple[SourceRow, str, int]]:
        first, step, number = numbers_in(after, 3, self.source)
        file = self._opened()
        try:
            for index in range(first, len(file)):
                length = 0
                try:
                    episode = file.episode(index)
                    length = _length(episode)
                    for start in range(step, length, _steps(episode)):
                        stop = min(start + _steps(episode), length)
                        for content in map(self._finish, _contents(episode, start, stop, length)):
                            number, step = number + 1, step + 1
                            behind = f"{index}:{step}:{number}" if step < length else f"{index + 1}:0:{number}"
                            yield SourceRow(self.source, number, content), behind, index + (step == length)
                except READING as error:
                    # Where it cannot be read the rest of the episode is lost with it: one row says so.
                    number += 1
                    where = f"episode {index}, step {step}" if length else f"episode {index}"
                    row = rejected(self.source, number, "row", f"{where} cannot be read ({reason(error)})", AGAIN)
                    yield row, f"{index + 1}:0:{number}", index + 1
                step = 0
            complaint = file.complaint() if first <= len(file) else ""
            if complaint:
                row = rejected(self.source, number + 1, "row", complaint, "copy the file again")
                yield row, f"{len(file) + 1}:0:{number + 1}", len(file)
        finally:
            file.close()


def _length(episode: StoredEpisode) -> int:
    length = len(episode.rewards)
    for name, tree, allowed in (
        ("observations", episode.observations, (length, length + 1)),
        ("actions", episode.actions, (length,)),
        ("terminations", episode.terminated, (length,)),
        ("truncations", episode.truncated, (length,)),
    ):
        if isinstance(tree, bool):
            continue
        found = {len(leaf) for _, leaf in leaves(tree)}
        if len(found) != 1 or not found <= set(allowed):
            raise OddValuesError(f"has {length} rewards and {sorted(found)} {name}")
    for name, values in episode.fields.items():
        if len(values) < length:
            raise OddValuesError(f"has {length} rewards and {len(values)} of {name}")
    return length


def _steps(episode: StoredEpisode) -> int:
    widths = [hdf5.entry_bytes(leaf) for tree in (episode.observations, episode.actions) for _, leaf in leaves(tree)]
    return max(1, min(ROWS, SLICE // max(1, sum(widths))))


def _contents(episode: StoredEpisode, start: int, stop: int, length: int) -> list[dict[str, Any]]:
    seen = observations(_cut(episode.observations, start, stop + (stop == length)))
    taken = actions(_cut(episode.actions, start, stop))
    rewards = np.asarray(episode.rewards[start:stop]).reshape(stop - start, -1)
    if rewards.shape[1] != 1 or rewards.dtype.kind not in "biuf":
        raise OddValuesError(f"has rewards of shape {rewards.shape[1:]} and type {rewards.dtype}")
    flags = {
        name: _flags(values, start, stop, length)
        for name, values in (("terminated", episode.terminated), ("truncated", episode.truncated))
    }
    further = {name: _plain(values[start:stop]) for name, values in episode.fields.items()}
    contents = []
    for place, reward in enumerate(rewards[:, 0].astype(np.float64).tolist()):
        content = {
            "episode_id": episode.name,
            "step": start + place,
            "observation": seen[place],
            "action": taken[place],
            "reward": reward,
            **{name: True for name, values in flags.items() if values[place]},
            **{name: values[place] for name, values in further.items()},
        }
        contents.append(content)
    if len(seen) > len(contents):
        contents[-1]["next_observation"] = seen[-1]
    return contents


def _cut(tree: Any, start: int, stop: int) -> Any:
    if isinstance(tree, Mapping):
        return {name: _cut(part, start, stop) for name, part in tree.items()}
    return np.asarray(tree[start:stop])


def _flags(values: Any, start: int, stop: int, length: int) -> list[bool]:
    if isinstance(values, bool):
        return [values and step == length - 1 for step in range(start, stop)]
    found = np.asarray(values[start:stop]).reshape(stop - start, -1)
    if found.shape[1] != 1 or found.dtype.kind not in "biuf":
        raise OddValuesError(f"has ends of shape {found.shape[1:]} and type {found.dtype}")
    return [bool(value) for value in found[:, 0].tolist()]


def _plain(values: Any) -> list[Any]:
    found = np.asarray(values)
    return [item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in found.tolist()]
