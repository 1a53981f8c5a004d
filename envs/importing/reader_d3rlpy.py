"""d3rlpy: the HDF5 files that ``ReplayBuffer.dump`` of version 2 writes (layout ``2.1``).

``observations_0``, ``actions_0``, ``rewards_0`` and ``terminated_0`` are the first episode's arrays, all of T
entries; ``observations_0_0``, ``observations_0_1``, ... the parts of a tuple. An episode that did not terminate
was cut. d3rlpy does not keep the observation behind the last action, so the last step of a cut episode has
none, and is not trained on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from envs.errors import DataError
from envs.importing import hdf5
from envs.importing.episode_reader import READING, EpisodeReader, StoredEpisode
from envs.importing.step_values import leaves

LAYOUT = "2.1"
OPENING = 64
COLUMN = re.compile(r"(observations|actions|rewards|terminated)_(\d{1,9})(?:_(\d{1,4}))?", re.ASCII)


def open_reader(source: str, options: Mapping[str, Any]) -> EpisodeReader:
    """The reader of one file; there are no options.

    Raises:
        DataError: the file is not there, or not of this layout.
        MissingExtraError: h5py is not installed.
    """
    if options:
        raise DataError(f"{next(iter(options))!r} is no option of d3rlpy files", where=source, remedy="remove it")
    return EpisodeReader(source, Path(source), lambda: _File(source))


class _File:
    """An open file and which of its data sets belong to which episode."""

    def __init__(self, source: str) -> None:
        self._file = hdf5.open_hdf5(source, "d3rlpy")
        try:
            self._check(source)
            self._columns: dict[int, dict[str, list[str]]] = {}
            for name in self._file:
                if found := COLUMN.fullmatch(name):
                    episode = self._columns.setdefault(int(found[2]), {})
                    episode.setdefault(found[1], []).append(name)
            self._order = sorted(self._columns)
            self._told = self._number()
            self._name = ""
            self._name = self._opening(source)
        except READING as error:
            self._file.close()
            raise DataError(f"cannot be read ({error})", where=source, remedy="copy the file again") from None
        except DataError:
            self._file.close()
            raise

    def __len__(self) -> int:
        return len(self._order)

    def episode(self, index: int) -> StoredEpisode:
        """The arrays of an episode, unread."""
        number = self._order[index]
        columns = self._columns[number]
        absent = [name for name in ("observations", "actions", "rewards", "terminated") if name not in columns]
        if absent:
            raise hdf5.UnsafeError(f"has no {absent[0]}")
        trees = {name: self._tree(names) for name, names in columns.items()}
        terminated = bool(hdf5.scalar(trees["terminated"]))
        return StoredEpisode(
            name=f"d3rlpy-{self._name}-{number}",
            observations=trees["observations"],
            actions=trees["actions"],
            rewards=trees["rewards"],
            terminated=terminated,
            truncated=not terminated,
        )

    def complaint(self) -> str:
        """Whether episodes are missing."""
        there = len(self._order)
        return f"names {self._told} episodes, but has {there}" if self._told != there else ""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _check(self, source: str) -> None:
        version = hdf5.member(self._file, "version")
        if version is None or "num_episodes" not in self._file:
            old = "terminals" in self._file
            problem = "is of d3rlpy 1" if old else "is HDF5, but not d3rlpy's"
            remedy = "load it in d3rlpy 2 with load_v1 and dump it again" if old else "name a file that d3rlpy dumped"
            raise DataError(problem, where=source, remedy=remedy)
        text = str(hdf5.scalar(version))
        if text != LAYOUT:
            remedy = f"dump it with a d3rlpy that writes {LAYOUT}"
            raise DataError(f"is of layout {text[:20]!r}, not {LAYOUT}", where=source, remedy=remedy)

    def _number(self) -> int:
        return int(hdf5.scalar(hdf5.member(self._file, "num_episodes")))

    def _tree(self, names: list[str]) -> Any:
        if len(names) == 1 and names[0].count("_") == 1:
            return hdf5.member(self._file, names[0])
        return {name.rsplit("_", 1)[1]: hdf5.member(self._file, name) for name in names}

    def _opening(self, source: str) -> str:
        """A name for the file that is its content's: one that has grown keeps it, a copy has it too."""
        try:
            episode = self.episode(0)
            digest = hashlib.sha256()
            for part in (episode.observations, episode.actions, episode.rewards):
                for name, leaf in leaves(part):
                    digest.update(name.encode() + np.ascontiguousarray(leaf[:OPENING]).tobytes())
            return digest.hexdigest()[:12]
        except (IndexError, *READING):
            return hashlib.sha256(Path(source).name.encode()).hexdigest()[:12]
