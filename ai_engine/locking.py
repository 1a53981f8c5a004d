"""One retraining of an agent at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from envs.errors import BusyError
from envs.home import Home


@contextmanager
def retraining_lock(home: Home, name: str) -> Iterator[None]:
    """Hold the agent's lock; the system releases it when the process ends, however it ends.

    Raises:
        BusyError: another process is retraining the agent.
    """
    home.runs_path.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(_lock_path(home.runs_path, name), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _locked(descriptor):
            raise _busy(home, name, _written(descriptor))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def refuse_busy(home: Home, name: str) -> None:
    """Say at once what :func:`retraining_lock` would say after all that is done before it.

    Raises:
        BusyError: another process is retraining the agent.
    """
    if holder := lock_holder(home.runs_path, name):
        raise _busy(home, name, holder)


def lock_holder(runs_path: Path, name: str) -> int:
    """The process that is retraining the agent, 0 where none is."""
    try:
        descriptor = os.open(_lock_path(runs_path, name), os.O_RDONLY)
    except FileNotFoundError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return 0
    except BlockingIOError:
        return _written(descriptor)
    finally:
        os.close(descriptor)


def _busy(home: Home, name: str, process: int) -> BusyError:
    from ai_engine.runs import RUNNING, list_runs  # which asks this module who holds the lock

    by_it = [run for run in list_runs(home, name) if run.record["process"] == process and run.status == RUNNING]
    stop = f", or stop it with `retrainer runs stop {by_it[-1].identifier}`" if by_it else ""
    return BusyError(
        f"is being retrained by process {process or 'unknown'}",
        where=f"agent {name}",
        remedy=f"wait until it is done{stop}",
    )


def _locked(descriptor: int) -> bool:
    """Take the lock; a moment's patience, for :func:`lock_holder` holds it too while it looks."""
    for _ in range(5):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.02)
    return False


def _lock_path(runs_path: Path, name: str) -> Path:
    return runs_path / f".{name}.lock"


def _written(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return int(text) if text.isdigit() else 0
