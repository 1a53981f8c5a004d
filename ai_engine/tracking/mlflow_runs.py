"""Runs in MLflow: an experiment an agent, a run a sweep, a nested run a trial."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any
from urllib.parse import unquote, urlsplit

from ai_engine.runs import FAILED, FINISHED, INTERRUPTED, RUNNING
from ai_engine.tracking.errors import TrackingError
from ai_engine.tracking.mlflow_client import pages
from ai_engine.tracking.settings import TrackingSettings, embedded_folder
from ai_engine.tracking.tracked_run import Point, TrackedEntry, TrackedRun

PARENT = "mlflow.parentRunId"
RUN, KEY, DIGEST = "retrainer.run", "retrainer.key", "retrainer.digest"
"""Tags by which entries are found again; the digest comes last, so that what is half-written is written again."""
SWEEP = "run"
RESERVED = ("mlflow.", "retrainer.")
STATUSES = {FINISHED: "FINISHED", INTERRUPTED: "KILLED", FAILED: "FAILED"}
ARTEFACT_FOLDER, ARTEFACT = "policy", "policy.json"
BATCH = 100
"""Parameters, tags or figures of one request; what MLflow takes of the first two."""


class MlflowRuns:
    """The runs of one agent.

    Args:
        client: of MLflow.
        settings: where and under what name.
        agent: the agent.

    Raises:
        TrackingError: the home's own store was made where the home no longer is.
    """

    def __init__(self, client: Any, settings: TrackingSettings, agent: str) -> None:
        self._client = client
        self._entities = import_module("mlflow.entities")
        self._experiment = _experiment(client, settings, agent)
        self._sweeps = self._found(f"tags.`{KEY}` = '{SWEEP}'", RUN)

    def write(self, run: TrackedRun) -> int:
        """Write what is not there yet, or differs; what somebody deleted in MLflow stays deleted.

        Returns:
            How many trials were written.
        """
        known, written = self._sweeps.get(run.identifier), 0
        if _deleted(known) or _digest(known) == run.digest:
            return 0
        parent = self._created(known, run.identifier, run.started, {KEY: SWEEP, RUN: run.identifier})
        children = self._found(f"tags.`{RUN}` = '{run.identifier}'", KEY)
        for entry in run.entries:
            child = children.get(entry.key)
            if not _deleted(child) and _digest(child) != entry.digest:
                self._entry(child, entry, run.started, {RUN: run.identifier, PARENT: parent})
                written += 1
        self._log(parent, known, run.parameters, run.points, run.tags, run.ended)
        if run.status != RUNNING:
            self._client.set_terminated(parent, STATUSES[run.status], run.ended)
        self._client.set_tag(parent, DIGEST, run.digest)
        return written

    def of_entry(self, run: TrackedRun, key: str) -> Any:
        """MLflow's run of a trial that was written; ``None`` where somebody deleted it."""
        found = self._found(f"tags.`{RUN}` = '{run.identifier}' and tags.`{KEY}` = '{key}'", KEY).get(key)
        return None if _deleted(found) else found

    def of_version(self, entry: TrackedEntry) -> Any:
        """A run of a version's own, written where it is not there or only half."""
        found = self._found(f"tags.`{KEY}` = '{entry.key}'", KEY).get(entry.key)
        known = None if _deleted(found) else found
        if known is not None and _digest(known) == entry.digest:
            return known
        return self._client.get_run(self._entry(known, entry, None, {}))

    def _found(self, condition: str, by: str) -> dict[str, Any]:
        """Runs of the experiment, deleted ones too, by a tag of theirs."""
        found = pages(
            self._client.search_runs,
            experiment_ids=[self._experiment],
            filter_string=condition,
            run_view_type=self._entities.ViewType.ALL,
        )
        # Of equals the one that is not deleted.
        return {run.data.tags[by]: run for run in sorted(found, key=_deleted, reverse=True)}

    def _created(self, known: Any, name: str, started: int | None, tags: Mapping[str, str]) -> str:
        """The identifier of a known run, or of a new one."""
        if known is None:
            known = self._client.create_run(self._experiment, start_time=started, tags=dict(tags), run_name=name)
        return str(known.info.run_id)

    def _entry(self, known: Any, entry: TrackedEntry, started: int | None, tags: Mapping[str, str]) -> str:
        identifier = self._created(known, entry.name, started, {KEY: entry.key, **tags})
        self._log(identifier, known, entry.parameters, entry.points, entry.tags, started or 0)
        text = entry.artefact.read_text(encoding="utf-8")
        self._client.log_text(identifier, text, f"{ARTEFACT_FOLDER}/{ARTEFACT}")
        ended = None if started is None else started + int(entry.seconds * 1000)
        self._client.set_terminated(identifier, STATUSES[FINISHED], ended)
        self._client.set_tag(identifier, DIGEST, entry.digest)
        return identifier

    def _log(
        self,
        identifier: str,
        known: Any,
        parameters: Mapping[str, Any],
        points: tuple[Point, ...],
        tags: Mapping[str, str],
        moment: int,
    ) -> None:
        """Log what is to be known of a run; MLflow refuses to change a parameter, and keeps equal figures once."""
        made, there = self._entities, known.data.params if known else {}
        batches = {
            "params": [
                made.Param(_name(name), str(value)) for name, value in parameters.items() if _name(name) not in there
            ],
            "metrics": [made.Metric(_name(point.name), point.value, moment, point.step) for point in points],
            "tags": [made.RunTag(_tag(name), value) for name, value in tags.items()],
        }
        for kind, items in batches.items():
            for start in range(0, len(items), BATCH):
                self._client.log_batch(identifier, **{kind: items[start : start + BATCH]})


def _experiment(client: Any, settings: TrackingSettings, agent: str) -> str:
    name, location = settings.name(agent), settings.artefact_location(agent)
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name, artifact_location=location))
    if settings.embedded and location and _path(found.artifact_location) != _path(location):
        folder = embedded_folder(settings.home)
        raise TrackingError(
            f"was made in {_path(found.artifact_location)}, where the home no longer is",
            where=str(folder),
            remedy="remove the folder and run retrainer track sync, which writes it anew",
        )
    return str(found.experiment_id)


def _path(location: str) -> str:
    return unquote(urlsplit(location).path)


def _deleted(run: Any) -> bool:
    return run is not None and bool(run.info.lifecycle_stage == "deleted")


def _digest(run: Any) -> str:
    return "" if run is None else str(run.data.tags.get(DIGEST, ""))


def _name(name: str) -> str:
    """A name of what MLflow allows in one."""
    return re.sub(r"[^\w./\- ]", "_", name, flags=re.ASCII)


def _tag(name: str) -> str:
    """A tag of the user's that would mean something to MLflow, or to us, is kept under another name."""
    return f"tag.{_name(name)}" if name.startswith(RESERVED) else _name(name)
