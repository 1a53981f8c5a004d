"""Minari: a data set's folder (``metadata.json`` beside ``main_data.hdf5``), or the id of one in Minari's place.

The HDF5 layout of Minari 0.5 is read without Minari. An episode has T + 1 observations; it ends as its last step
says. What stands in ``infos`` is left alone, but for a data set that ``retrainer export`` wrote: it keeps there
what a Minari episode has no place for (see :mod:`envs.exporting.minari`).
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envs.errors import DataError
from envs.importing import hdf5
from envs.importing.episode_reader import READING, EpisodeReader, StoredEpisode
from envs.importing.files import is_stored

MARK = "retrainer"
WRITTEN = ("allowed_actions", "action_probabilities", "executed_action")  # as JSON
FIELDS = (
    *WRITTEN,
    "event_id",
    "tenant",
    "episode_id",
    "step",
    "timestamp",
    "propensity",
    "terminated",
    "truncated",
    "policy_version",
    "experiment_arm",
    "mode",
    "final_observation",
)
EPISODE = re.compile(r"episode_(\d{1,9})", re.ASCII)
MAXIMUM_METADATA = 16 * 2**20


def open_reader(source: str, options: Mapping[str, Any]) -> EpisodeReader:
    """The reader of one data set; there are no options.

    Raises:
        DataError: it is not there, or is of another format.
        MissingExtraError: h5py is not installed.
    """
    if options:
        raise DataError(f"{next(iter(options))!r} is no option of Minari data sets", where=source, remedy="remove it")
    folder = _folder(source)
    metadata = _metadata(source, folder)
    mark = metadata.get(MARK)
    finish = _Finish(mark) if isinstance(mark, dict) else lambda content: content
    name = str(metadata.get("dataset_id") or folder.parent.name)
    return EpisodeReader(
        source, folder / "main_data.hdf5", lambda: _File(source, folder, name, metadata, isinstance(mark, dict)), finish
    )


def _folder(source: str) -> Path:
    places = [Path(source), Path(source) / "data"]
    root = os.environ.get("MINARI_DATASETS_PATH") or Path.home() / ".minari" / "datasets"
    if not Path(source).is_absolute() and ".." not in Path(source).parts:
        places.append(Path(root) / source / "data")
    for place in places:
        if (place / "metadata.json").is_file():
            return place
    remedy = "download it" if is_stored(source) else "name its folder, or download it with minari"
    raise DataError("is no Minari data set of this machine", where=source, remedy=remedy)


def _metadata(source: str, folder: Path) -> dict[str, Any]:
    path = folder / "metadata.json"
    try:
        if path.stat().st_size > MAXIMUM_METADATA:
            raise ValueError("is larger than 16 MB")
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("is no object")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"metadata.json cannot be read ({error})", where=source, remedy="download it again") from None
    kept = found.get("data_format", "hdf5")
    if kept != "hdf5":
        remedy = 'create the data set with data_format="hdf5"'
        raise DataError(f"is kept as {kept!r}, which is not read", where=source, remedy=remedy)
    pictures = [part for part in ("observation", "action") if _has_image(found.get(f"{part}_space"))]
    if pictures and found.get("jpeg_encoding", True):
        remedy = "create the data set with jpeg_encoding=False"
        raise DataError(f"its {pictures[0]}s are JPEG pictures, which are not read", where=source, remedy=remedy)
    return found


def _has_image(space: Any) -> bool:
    """Whether a space, as Minari writes it, has a part that it keeps as JPEG."""
    if isinstance(space, str):
        try:
            space = json.loads(space)
        except (ValueError, RecursionError):
            return False
    pending = [space]
    while pending:
        part = pending.pop()
        if not isinstance(part, dict):
            continue
        shape = part.get("shape")
        if part.get("type") == "Box" and part.get("dtype") == "uint8" and isinstance(shape, list) and len(shape) == 3:
            return True
        inner = part.get("subspaces")
        pending += inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else []
    return False


class _File:
    """An open data set."""

    def __init__(self, source: str, folder: Path, name: str, metadata: Mapping[str, Any], ours: bool) -> None:
        self._name = name
        self._ours = ours
        self._told = metadata.get("total_episodes")
        self._file = hdf5.open_hdf5(str(folder / "main_data.hdf5"), "Minari data sets")
        try:
            self._order = sorted(int(found[1]) for key in self._file if (found := EPISODE.fullmatch(key)))
        except READING as error:
            self._file.close()
            raise DataError(f"cannot be read ({error})", where=source, remedy="download it again") from None

    def __len__(self) -> int:
        return len(self._order)

    def episode(self, index: int) -> StoredEpisode:
        """The arrays of an episode, unread."""
        number = self._order[index]
        group = hdf5.member(self._file, f"episode_{number}")
        parts = {}
        for name in ("observations", "actions", "rewards", "terminations", "truncations"):
            found = hdf5.member(group, name) if hasattr(group, "keys") else None
            if found is None:
                raise hdf5.UnsafeError(f"has no {name}")
            parts[name] = hdf5.tree(found)
        for name in ("rewards", "terminations", "truncations"):
            if isinstance(parts[name], dict):
                raise hdf5.UnsafeError(f"has {name} by name, not one a step")
        return StoredEpisode(
            name=f"{self._name}/{number}",
            observations=parts["observations"],
            actions=parts["actions"],
            rewards=parts["rewards"],
            terminated=parts["terminations"],
            truncated=parts["truncations"],
            fields=self._fields(group) if self._ours else {},
        )

    def complaint(self) -> str:
        """Whether episodes are missing."""
        there = len(self._order)
        wrong = isinstance(self._told, int) and self._told != there
        return f"metadata.json names {self._told} episodes, but there are {there}" if wrong else ""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _fields(self, group: Any) -> dict[str, Any]:
        infos = hdf5.member(group, "infos")
        if infos is None:
            return {}
        found = {name: hdf5.member(infos, name) for name in FIELDS}
        return {name: values for name, values in found.items() if values is not None}


class _Finish:
    """Turns the steps of a data set that ``retrainer export`` wrote into the records that they were."""

    def __init__(self, mark: Mapping[str, Any]) -> None:
        names = mark.get("actions")
        self._actions = names if isinstance(names, list) else None
        self._booleans, self._tags = (
            frozenset(map(str, found)) if isinstance(found := mark.get(name), list) else frozenset()
            for name in ("booleans", "tags")
        )

    def __call__(self, content: dict[str, Any]) -> dict[str, Any]:
        known = content.pop("final_observation", True)
        if not known:
            content.pop("next_observation", None)
        out = {name: value for name, value in content.items() if not _absent(value)}
        for name in ("observation", "next_observation"):
            if isinstance(out.get(name), dict):
                out[name] = self._present(out[name])
        out |= {name: _read(out[name]) for name in WRITTEN if name in out}
        action = out.get("action")
        if self._actions is not None and isinstance(action, int) and 0 <= action < len(self._actions):
            out["action"] = self._actions[action]
        if out.get("episode_id") == out.get("event_id"):
            out.pop("episode_id", None)
            out.pop("step", None)
        return out

    def _present(self, value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        """An object without the fields that were absent."""
        out: dict[str, Any] = {}
        for name, item in value.items():
            if isinstance(item, Mapping):
                out[name] = self._present(item, f"{prefix}{name}.")
            elif not _absent(item):
                field = f"{prefix}{name}"
                tagged = field in self._tags and isinstance(item, str)
                out[name] = bool(item) if field in self._booleans else _read(item) if tagged else item
        return out


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text  # the declaration refuses it by name


def _absent(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))
