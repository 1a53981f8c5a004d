"""Runs: a folder each, with what was asked, what was found, and everything needed to go on."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ai_engine.locking import lock_holder
from ai_engine.text import table
from algorithms.policy.provenance import plain_json
from envs.counting import counted
from envs.errors import DataError, RegistryError
from envs.home import Home
from envs.storage import LocalStorage

RUNNING, FINISHED, INTERRUPTED, FAILED = "running", "finished", "interrupted", "failed"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a home.

    Attributes:
        identifier: its name and the name of its folder.
        path: its folder.
        record: what ``run.json`` says: agent, kind, status, created, process, request, tags.
    """

    identifier: str
    path: Path
    record: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def create(
        cls, home: Home, agent: str, kind: str, request: dict[str, Any], tags: Mapping[str, str] | None = None
    ) -> Run:
        """A new run with a name of its own.

        Raises:
            DataError: a tag's name or value is empty, or a name holds ``=``.
        """
        for key, value in (tags or {}).items():
            if not key.strip() or not str(value).strip() or "=" in key:
                raise DataError(f"{key}={value} is no tag", where="tags", remedy="write name=value")
        now = datetime.now(UTC)
        identifier = _new_folder(home.runs_path, f"{agent}-{now:%Y%m%d-%H%M%S}")
        record = {
            "schema_version": 1,
            "run": identifier,
            "agent": agent,
            "kind": kind,
            "created": now.isoformat(timespec="seconds"),
            "moment": time.time_ns(),  # puts runs of one second in their order
            "status": RUNNING,
            "process": os.getpid(),
            "request": plain_json(request),
            "tags": dict(tags or {}),
        }
        run = cls(identifier, home.runs_path / identifier, record)
        run.write("run.json", record)
        return run

    @classmethod
    def open(cls, home: Home, identifier: str) -> Run:
        """A run by its name.

        Raises:
            RegistryError: there is none; names the latest.
        """
        path = home.runs_path / identifier
        if Path(identifier).name != identifier or not (path / "run.json").is_file():
            latest = ", ".join(run.identifier for run in list_runs(home)[-3:]) or "none"
            raise RegistryError(f"{identifier!r} is no run", where=str(home.path), remedy=f"the latest are {latest}")
        run = cls(identifier, path)
        run.record.update(run.read("run.json"))
        return run

    @property
    def agent(self) -> str:
        """The agent that the run is about."""
        return str(self.record["agent"])

    @property
    def status(self) -> str:
        """What became of it; one whose process is gone was interrupted."""
        status = str(self.record["status"])
        if status != RUNNING:
            return status
        # The number of a process that is gone may have been given to another, which holds no lock of ours.
        holder = lock_holder(self.path.parent, self.agent)
        return RUNNING if holder == int(self.record["process"]) else INTERRUPTED

    @property
    def tags(self) -> dict[str, str]:
        """What it was given to be found by."""
        return dict(self.record.get("tags", {}))

    def update(self, **changes: Any) -> None:
        """Change ``run.json`` in one step."""
        self.record.update(plain_json(changes))
        self.write("run.json", self.record)

    def write(self, name: str, document: Any) -> None:
        """Write a JSON document of the run in one step."""
        LocalStorage(self.path).replace(name, json.dumps(plain_json(document), indent=1).encode())

    def read(self, name: str) -> Any:
        """A JSON document of the run, ``None`` where it is not there."""
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        except (OSError, ValueError):
            raise RegistryError(
                "cannot be read, it is damaged", where=str(path), remedy="restore it from a copy, or remove its run"
            ) from None

    def discard(self) -> None:
        """Remove the run: it failed before it found anything."""
        shutil.rmtree(self.path, ignore_errors=True)

    def tidy(self) -> None:
        """Drop what a finished run no longer needs: the columns, what variants learned, and Tune's own folder."""
        for name in ("dataset", "dataset-all", "components", "unfinished", "tune"):
            shutil.rmtree(self.path / name, ignore_errors=True)


def _new_folder(runs: Path, beginning: str) -> str:
    """The name of a folder that nobody else has."""
    while True:
        name = f"{beginning}-{secrets.token_hex(2)}"
        with suppress(FileExistsError):
            (runs / name).mkdir(parents=True)
            return name


def list_runs(home: Home, agent: str | None = None) -> list[Run]:
    """All runs of a home, oldest first."""
    found = [Run.open(home, path.parent.name) for path in home.runs_path.glob("*/run.json")]
    ordered = sorted(found, key=lambda run: (run.record["created"], run.record.get("moment", 0)))
    return [run for run in ordered if agent is None or run.agent == agent]


@dataclass(frozen=True, slots=True)
class RunsResult:
    """A list of runs, or one whole.

    Attributes:
        runs: oldest first.
        whole: whether it is one run with its result.
        stopping: whether it was just asked to stop.
    """

    runs: tuple[Run, ...]
    whole: bool = False
    stopping: bool = False

    def to_json(self) -> dict[str, Any]:
        """One document."""
        listed = [{**run.record, "status": run.status, "path": str(run.path)} for run in self.runs]
        if self.whole:
            return {"schema_version": 1, **listed[0], "result": self.runs[0].read("result.json")}
        return {"schema_version": 1, "runs": listed}

    def to_text(self) -> str:
        """A table and one sentence."""
        if self.whole:
            return self._whole(self.runs[0])
        tagged = any(run.tags for run in self.runs)
        rows = [
            (run.identifier, run.agent, str(run.record["kind"]), run.status, *((_tags(run),) if tagged else ()))
            for run in self.runs
        ]
        count = f"{counted(len(rows), 'run')}."
        header = ("run", "agent", "kind", "status", *(("tags",) if tagged else ()))
        return f"{table(header, rows)}\n{count}" if rows else "No run."

    def _whole(self, run: Run) -> str:
        request = run.record["request"]
        done = len(list((run.path / "variants").glob("*.json")))
        asked = request.get("trials", len(request.get("variants", [])))
        facts = [(key, str(run.record[key])) for key in ("run", "agent", "kind", "created")]
        facts.append(("variants", f"{done} of {asked} finished"))
        if strategy := request.get("strategy"):
            facts.append(("search", f"{strategy['search']}, scheduler {strategy['scheduler']}"))
            facts.append(("seeds", f"{request['seeds']} of each variant, from {request['seed']}"))
        if run.tags:
            facts.append(("tags", _tags(run)))
        result = run.read("result.json")
        if run.record["kind"] == "tune" and result:
            finalists = ", ".join(result["finalists"]) or "none"
            facts += [("recommended", f"{result['recommended']} ({result['evidence']})"), ("finalists", finalists)]
        return f"{table((), facts)}\n{self._becoming(run)}"

    def _becoming(self, run: Run) -> str:
        """What became of a run, and what goes on with it."""
        resume = f"retrainer runs resume {run.identifier}"
        if self.stopping:
            return f"This run was asked to stop; what it has finished is kept, and goes on with {resume}"
        if run.status == FAILED and "error" in run.record:
            return f"This run is failed: {run.record['error']}"
        resumable = run.status == INTERRUPTED and run.record["kind"] == "tune"
        return f"This run is {run.status}{f'; go on with {resume}' if resumable else '.'}"


def _tags(run: Run) -> str:
    return " ".join(f"{key}={value}" for key, value in run.tags.items())


def runs_list(home: Home | str | Path | None = None, *, tags: Mapping[str, str] | None = None) -> RunsResult:
    """All runs of a home, or those that carry all of these tags."""
    wanted = (tags or {}).items()
    return RunsResult(tuple(run for run in list_runs(Home.find(home)) if wanted <= run.tags.items()))


def runs_show(run: str, home: Home | str | Path | None = None) -> RunsResult:
    """One run and its result."""
    return RunsResult((Run.open(Home.find(home), run),), whole=True)


def runs_stop(run: str, *, home: Home | str | Path | None = None) -> RunsResult:
    """Interrupt a running run; what is finished is kept, and ``runs resume`` goes on from it.

    Raises:
        DataError: it does not run.
    """
    found = Run.open(Home.find(home), run)
    if found.status != RUNNING:
        raise DataError(f"is {found.status}", where=f"run {run}", remedy="only a running run can be stopped")
    os.kill(int(found.record["process"]), signal.SIGINT)
    return RunsResult((found,), whole=True, stopping=True)
