"""Minari: a data set that its library loads, and that imports as the same transitions.

An episode that came to its end, or to the horizon, is one of Minari's: T + 1 observations, T actions (their place
among the declared ones), rewards by the declared expression. What Minari has no place for stands in ``infos``, one
entry for each observation: ``event_id``, ``timestamp``, ``propensity``, ... and ``final_observation``, which is false
where the observation behind the last action is not known and the last one stands there again. Outcomes and metadata
stay behind: export Parquet to keep them.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from envs.errors import DataError, MissingExtraError, RecordError
from envs.record import DecisionRecord
from envs.scoring import Scorer
from envs.specification import AgentSpecification

MARK = "retrainer"
TEXTS = ("event_id", "tenant", "episode_id", "timestamp", "policy_version", "experiment_arm", "mode")
WRITTEN = ("allowed_actions", "action_probabilities", "executed_action")  # as JSON
AT_ONCE = 100  # episodes between two visits of the file


@dataclass(frozen=True, slots=True)
class MinariExport:
    """What was written, and what was not.

    Attributes:
        decisions: decisions written.
        episodes: their episodes.
        open_episodes: episodes that have not ended.
        broken_episodes: episodes with a step missing or there twice, or of which a decision has no reward.
        reason: why the first of these was left out.
    """

    decisions: int
    episodes: int
    open_episodes: int
    broken_episodes: int
    reason: str = ""


def export_minari(
    records: Iterable[DecisionRecord],
    path: str | Path,
    specification: AgentSpecification,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> MinariExport:
    """Write an agent's episodes as a Minari data set (HDF5), which appears when it is whole.

    Args:
        records: the decisions, in any order; those of mode ``shadow`` are left out.
        path: the data set's folder; its name is the data set's id, such as ``scaling-v0``.
        specification: the agent's declaration.
        progress: is told how many decisions were written so far.

    Raises:
        DataError: no episode has ended, the actions are not declared choices, or the folder is there already.
        RecordError: an observation or an action is not as declared.
        MissingExtraError: minari is not installed.
    """
    try:
        from minari.dataset.minari_storage import MinariStorage
    except ImportError:
        remedy = 'install it with: pip install "retrainer[importers]"'
        raise MissingExtraError("writing Minari data sets needs minari", where=str(path), remedy=remedy) from None
    from envs.exporting.grouping import EpisodeFile
    from envs.exporting.minari_spaces import action_space, observation_space, rewritten

    target = Path(path).absolute()  # Minari joins a relative one to itself
    if target.exists():
        raise DataError("is there already", where=str(path), remedy="name another folder, or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        ordered = EpisodeFile(Path(folder) / "decisions")
        try:
            ordered.add(record for record in records if record.mode != "shadow")
            data = Path(folder) / "made" / "data"
            data.parent.mkdir()
            spaces = observation_space(specification.observation), action_space(specification.actions)
            storage = MinariStorage.new(data, *spaces, jpeg_encoding=False)
            storage.update_metadata(_metadata(target.name, specification, rewritten(specification)))
            writer = _Writer(specification)
            episodes = writer.buffers(ordered.episodes())
            while page := list(islice(episodes, AT_ONCE)):
                storage.update_episodes(page)
                progress(writer.decisions)
        finally:
            ordered.close()
        if not writer.episodes:
            why = f" ({writer.reason})" if writer.reason else ""
            remedy = "let one end, or export Parquet, which takes any decision"
            raise DataError(f"has no whole episode{why}", where=f"agent {specification.name}", remedy=remedy)
        try:
            shutil.move(data.parent, target)
        except OSError as error:
            raise DataError(f"cannot be written ({error})", where=str(path), remedy="check the folder") from error
    return MinariExport(writer.decisions, writer.episodes, writer.open_episodes, writer.broken_episodes, writer.reason)


def _metadata(name: str, specification: AgentSpecification, back: dict[str, list[str]]) -> dict[str, Any]:
    from minari import __version__

    mark = {"version": 1, "agent": specification.name, "actions": list(specification.actions), **back}
    return {"dataset_id": name, "minari_version": __version__, MARK: mark}


class _Writer:
    """Episodes as Minari's buffers."""

    def __init__(self, specification: AgentSpecification) -> None:
        self._specification = specification
        self._scorer = Scorer(specification)
        self.decisions = self.episodes = self.open_episodes = self.broken_episodes = 0
        self.reason = ""

    def buffers(self, episodes: Iterable[list[DecisionRecord]]) -> Iterable[Any]:
        """A buffer for each whole episode."""
        horizon = self._specification.horizon
        for records in episodes:
            last = records[-1]
            if [record.step for record in records] != list(range(len(records))):
                self._broken(f"episode {last.episode_id} has not every step once")
            elif not (last.is_single or last.terminated or last.truncated or len(records) >= horizon):
                self.open_episodes += 1
            else:
                try:
                    rewards = [self._scorer.score(record)[0] for record in records]
                except RecordError as error:
                    self._broken(str(error))
                    continue
                self.decisions += len(records)
                self.episodes += 1
                yield self._buffer(records, rewards)

    def _broken(self, reason: str) -> None:
        self.broken_episodes += 1
        self.reason = self.reason or reason

    def _buffer(self, records: list[DecisionRecord], rewards: list[float]) -> Any:
        from minari.data_collector import EpisodeBuffer

        from envs.exporting.minari_spaces import columns

        last = records[-1]
        known = last.next_observation is not None
        seen = [record.observation for record in records]
        seen.append(last.next_observation if known else last.observation)
        terminations = [record.terminated or (record.is_single and not record.truncated) for record in records]
        truncations = [record.truncated and not ended for record, ended in zip(records, terminations, strict=True)]
        truncations[-1] = not terminations[-1]  # by the horizon, whatever its recorder left out
        return EpisodeBuffer(
            observations=columns(self._specification.observation, seen),
            actions=np.array(self._specification.action_indices([record.action for record in records]), dtype=np.int64),
            rewards=rewards,
            terminations=terminations,
            truncations=truncations,
            infos=_infos(records, known),
        )


def _infos(records: list[DecisionRecord], known: bool) -> dict[str, Any]:
    """What Minari has no place for, T + 1 entries each."""
    infos: dict[str, Any] = {}
    for name in TEXTS:
        values = [getattr(record, name) or "" for record in records]
        if any(values):
            infos[name] = [*values, ""]
    for name in WRITTEN:
        found = [getattr(record, name) for record in records]
        if any(value is not None for value in found):
            infos[name] = [*("" if value is None else json.dumps(value) for value in found), ""]
    infos["step"] = np.array([*(record.step for record in records), len(records)], dtype=np.int64)
    chances = [math.nan if record.propensity is None else record.propensity for record in records]
    infos["propensity"] = np.array([*chances, math.nan])
    for name in ("terminated", "truncated"):
        infos[name] = np.array([*(getattr(record, name) for record in records), False])
    infos["final_observation"] = np.array([*([True] * (len(records) - 1)), known, True])
    return infos
