"""Trackers brought up to what a home has kept: the home is the truth, and doing it again changes nothing."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ai_engine.deploy.registry import Registry
from ai_engine.runs import list_runs
from ai_engine.text import table
from ai_engine.tracking.errors import TrackingError
from ai_engine.tracking.mlflow_client import mlflow_client
from ai_engine.tracking.problems import remember
from ai_engine.tracking.settings import MLFLOW, TENSORBOARD, TrackingSettings
from ai_engine.tracking.tracked_run import TrackedRun, tracked_run
from envs.errors import DataError, RegistryError
from envs.home import Home

LOCK, LOCK_SECONDS = ".tracking.lock", 10.0


@dataclass(frozen=True, slots=True)
class Synchronised:
    """What a tracker was told of an agent.

    Attributes:
        agent: the agent.
        tracker: ``mlflow`` or ``tensorboard``.
        trials: trials that were written, new or changed.
        versions: versions that were registered.
        champion: whom the alias names now; empty for a tracker without a registry.
        moved: whether the alias was another before.
    """

    agent: str
    tracker: str
    trials: int
    versions: int = 0
    champion: str = ""
    moved: bool = False


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What ``track sync`` did.

    Attributes:
        done: of each agent and tracker.
    """

    done: tuple[Synchronised, ...]

    def to_json(self) -> dict[str, Any]:
        """One document."""
        return {"schema_version": 1, "synchronised": [asdict(each) for each in self.done]}

    def to_text(self) -> str:
        """A table and one sentence."""
        rows = [
            (each.agent, each.tracker, str(each.trials), str(each.versions), each.champion or "–") for each in self.done
        ]
        changed = sum(bool(each.trials or each.versions or each.moved) for each in self.done)
        sentence = "All was there already." if not changed else "What was missing is there now."
        header = ("agent", "tracker", "trials written", "versions registered", "champion")
        return f"{table(header, rows)}\n{sentence}" if rows else "No agent has run anything yet."


def track_sync(
    agents: Sequence[str] | None = None, *, track: Sequence[str] | None = None, home: Home | str | Path | None = None
) -> SyncResult:
    """Bring the trackers up to date: runs, trials, versions and the alias ``champion``.

    Args:
        agents: their names; by default all that have a champion.
        track: ``mlflow``, ``tensorboard`` or both; by default what the environment or the home says.
        home: the home.

    Raises:
        DataError: nothing says where to track.
        RegistryError: an agent that has no champion, or a damaged file.
        MissingExtraError: a tracker's library is not installed.
        TrackingError: a tracker cannot be reached, or refuses.
    """
    found = Home.find(home)
    settings = TrackingSettings.of(found, track)
    if not settings.trackers:
        remedy = 'give --track mlflow, or write to = ["mlflow"] under [tracking] of retrainer.toml'
        raise DataError("nothing says where to track", where=str(found.path), remedy=remedy)
    settings.require_extras()
    registry = Registry(found)
    known = registry.agents()
    for name in agents or ():
        if name not in known:
            raise RegistryError("has no champion yet", where=f"agent {name}", remedy=f"run retrainer tune {name}")
    done = []
    for name in agents or known:
        for tracker in settings.trackers:
            done.append(synchronise(settings, registry, name, tracker))
            remember(found, name, tracker, "")
    return SyncResult(tuple(done))


def synchronise(settings: TrackingSettings, registry: Registry, agent: str, tracker: str) -> Synchronised:
    """Bring a tracker up to date with one agent; one process at a time does so.

    Raises:
        RetrainerError: the tracker or a file of the home fails.
    """
    with _lock(settings.home):
        tracked = [tracked_run(run, registry) for run in list_runs(settings.home, agent)]
        if tracker == TENSORBOARD:
            return _events(settings, agent, tracked)
        return _mlflow(settings, registry, agent, tracked)


def _events(settings: TrackingSettings, agent: str, tracked: Sequence[TrackedRun]) -> Synchronised:
    from ai_engine.tracking.tensorboard_files import write_events

    try:
        written = sum(write_events(run, settings.home.runs_path / run.identifier) for run in tracked)
    except OSError as error:
        raise TrackingError(f"cannot write event files ({error})", where=f"agent {agent}") from error
    return Synchronised(agent, TENSORBOARD, written)


def _mlflow(settings: TrackingSettings, registry: Registry, agent: str, tracked: Sequence[TrackedRun]) -> Synchronised:
    from ai_engine.tracking.mlflow_models import registered_model, write_versions
    from ai_engine.tracking.mlflow_runs import MlflowRuns

    with mlflow_client(settings) as client:
        model = registered_model(client, settings, agent)  # first: it may not be ours
        runs = MlflowRuns(client, settings, agent)
        trials = sum(runs.write(run) for run in tracked)
        versions, moved = write_versions(client, model, registry, agent, runs, tracked)
    return Synchronised(agent, MLFLOW, trials, versions, f"{agent}@{registry.champion(agent)}", moved)


@contextmanager
def _lock(home: Home) -> Iterator[None]:
    """Two at once would both create what neither finds; the second waits, and then finds it."""
    home.runs_path.mkdir(parents=True, exist_ok=True)
    with open(home.runs_path / LOCK, "a") as file:
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise TrackingError("another process is tracking", where=str(home.path)) from None
                time.sleep(0.05)
        yield
