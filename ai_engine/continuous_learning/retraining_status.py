"""What scheduled retraining last did, as its process wrote it down in the home."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ai_engine.retrain.retrain_result import RetrainResult
from envs.errors import DataError
from envs.home import Home
from envs.storage import LocalStorage

STATE = "retraining.json"
"""In ``runs/``: the last pass, replaced in one step."""
OUTCOMES = "retraining.jsonl"
"""In ``runs/``: one line for each agent of each pass, only ever added to."""
OUTPUT = "retraining.log"
"""In ``runs/``: what the process and its libraries printed."""
LOCK = ".retraining.process.lock"
"""In ``runs/``, held by the process that retrains; the dots keep it apart from an agent's lock."""
NEVER, RUNNING, FINISHED, INTERRUPTED, FAILED = "never", "running", "finished", "interrupted", "failed"


@dataclass(frozen=True, slots=True)
class RetrainingStatus:
    """The last pass over a home's agents, whichever pipeline's process made it.

    Attributes:
        state: of the pass: ``never`` (there was none), ``running``, ``finished``, ``interrupted`` (it is made
            again when a process starts), or ``failed`` (with ``error``).
        started: when it began.
        ended: when it ended.
        due: when the next one may begin; ``None`` is at once.
        results: what became of each agent so far.
        error: why the pass as a whole failed, else empty.
        process: of the process that made it, 0 where there was none.
        alive: whether the process of the pipeline that was asked is alive; it may be waiting for another
            pipeline's process to end, which retrains the home then.
        exit_code: of that process where it has ended by itself, negative for a signal; else ``None``.
    """

    state: str = NEVER
    started: datetime | None = None
    ended: datetime | None = None
    due: datetime | None = None
    results: Mapping[str, RetrainResult] = field(default_factory=dict)
    error: str = ""
    process: int = 0
    alive: bool = False
    exit_code: int | None = None

    def to_json(self) -> dict[str, Any]:
        """One document."""
        times = {name: getattr(self, name) for name in ("started", "ended", "due")}
        return {
            "schema_version": 1,
            "state": self.state,
            **{name: None if time is None else time.isoformat() for name, time in times.items()},
            "results": {agent: result.to_json() for agent, result in self.results.items()},
            "error": self.error,
            "process": self.process,
            "alive": self.alive,
            "exit_code": self.exit_code,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RetrainingStatus:
        """The inverse of :meth:`to_json`."""
        return cls(
            state=str(data["state"]),
            **{name: data[name] and datetime.fromisoformat(data[name]) for name in ("started", "ended", "due")},
            results={agent: RetrainResult.from_json(item) for agent, item in data["results"].items()},
            error=str(data["error"]),
            process=int(data["process"]),
            alive=bool(data["alive"]),
            exit_code=data["exit_code"],
        )

    def to_text(self) -> str:
        """A line for each agent and one sentence."""
        lines = [result.to_text() for result in self.results.values()]
        when = f" at {self.ended or self.started:%Y-%m-%d %H:%M:%S %Z}" if self.started else ""
        why = f": {self.error}" if self.error else ""
        last = "No agent was retrained yet." if self.state == NEVER else f"The last pass is {self.state}{when}{why}."
        return "\n".join([*lines, last])


def read_status(home: Home) -> RetrainingStatus:
    """The last pass of a home.

    Raises:
        DataError: the file is damaged.
    """
    path = home.runs_path / STATE
    try:
        status = RetrainingStatus.from_json(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return RetrainingStatus()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        remedy = "remove it; the next pass begins at once then"
        raise DataError("cannot be read, it is damaged", where=str(path), remedy=remedy) from None
    if status.state == RUNNING and not _locked(home):
        return replace(status, state=INTERRUPTED, due=None)  # its process was killed
    return status


def write_status(home: Home, status: RetrainingStatus) -> None:
    """Replace what the home says of its last pass."""
    LocalStorage(home.runs_path).replace(STATE, json.dumps(status.to_json(), indent=1).encode())


def _locked(home: Home) -> bool:
    """Whether a process retrains the home."""
    import fcntl  # not on every platform that can record

    try:
        descriptor = os.open(home.runs_path / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
