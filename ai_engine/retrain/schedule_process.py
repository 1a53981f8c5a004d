"""The process that retrains a home on schedule: ``python -m ai_engine.retrain.schedule_process --home HOME``.

``LearningPipeline(auto_retrain=True)`` starts it. It reads its schedule as one line of JSON from standard input
and says ``ready`` on standard output. When standard input ends, a sweep under way is interrupted and the process
with it. What it did is in the home's ``runs/`` (:mod:`ai_engine.continuous_learning.retraining_status`).
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import FrameType

from ai_engine.continuous_learning.collector import DataCollector
from ai_engine.continuous_learning.retraining_status import (
    FAILED,
    FINISHED,
    INTERRUPTED,
    LOCK,
    OUTCOMES,
    RUNNING,
    RetrainingStatus,
    read_status,
    write_status,
)
from ai_engine.continuous_learning.schedule import RetrainSchedule
from ai_engine.interrupts import Interrupted
from ai_engine.retrain.model_retrainer import ModelRetrainer
from ai_engine.retrain.retrain_result import RetrainResult
from envs.errors import DataError
from envs.home import Home

PARENT_SECONDS = 1.0
"""Between two looks at whether the parent lives: where a fork of it holds the pipe open, no end is read."""

INTERRUPT_SECONDS = 2.0
"""Between two interrupts of a sweep that is to end."""
CLEANING = ("shutdown", "rmtree")
"""Functions that are left alone then."""


def retrain_on_schedule(home: Home, schedule: RetrainSchedule, stop: threading.Event) -> None:
    """Retrain whenever it is due, until ``stop`` is set; only one process of a home at a time.

    Raises:
        KeyboardInterrupt, Interrupted: it was stopped in the middle of a pass, which is marked as interrupted.
    """
    with _only_process(home, schedule, stop):
        while not stop.is_set():
            if is_due(home, schedule):
                make_pass(home, schedule)
            stop.wait(schedule.check_every)


def is_due(home: Home, schedule: RetrainSchedule) -> bool:
    """Whether the next pass may begin: the last one was cut short, or began long enough ago."""
    try:
        last = read_status(home)
    except DataError:  # must not end retraining for good; the pass writes it anew
        return True
    # Where it is said to run it does not: who asks holds the lock.
    if last.started is None or last.state in (INTERRUPTED, RUNNING):
        return True
    now = datetime.now(UTC)
    return now >= last.started + timedelta(seconds=schedule.seconds) or now < last.started  # the clock was put back


def make_pass(home: Home, schedule: RetrainSchedule) -> RetrainingStatus:
    """Retrain every agent that is ready, and write down what came of each as it comes.

    Raises:
        KeyboardInterrupt, Interrupted: it was stopped; the pass is marked as interrupted.
    """
    started = datetime.now(UTC)
    due = started + timedelta(seconds=schedule.seconds)
    status = RetrainingStatus(RUNNING, started=started, due=due, process=os.getpid())
    write_status(home, status)

    def done(result: RetrainResult) -> None:
        nonlocal status
        status = replace(status, results={**status.results, result.agent: result})
        _append(home, {"started": started.isoformat(), "at": datetime.now(UTC).isoformat(), **result.to_json()})
        write_status(home, status)

    try:
        with DataCollector(home) as collector:
            retrainer = ModelRetrainer(
                collector, trials=schedule.trials, time_budget=schedule.time_budget, seed=schedule.seed
            )
            retrainer.retrain_all_ready_agents(schedule.batch_size, schedule.epochs, agents=schedule.agents, done=done)
        status = replace(status, state=FINISHED)
    except (KeyboardInterrupt, Interrupted):
        status = replace(status, state=INTERRUPTED, due=None)
        raise
    except Exception as error:  # such as a configuration that cannot be read: perhaps it can be next time
        traceback.print_exc()
        status = replace(status, state=FAILED, error=f"{type(error).__name__}: {error}")
    finally:
        status = replace(status, ended=datetime.now(UTC))
        write_status(home, status)
    return status


@contextmanager
def _only_process(home: Home, schedule: RetrainSchedule, stop: threading.Event) -> Iterator[None]:
    """Hold the home's lock; waits for it, so that another pipeline's process takes over where one ends."""
    descriptor = os.open(home.runs_path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not stop.is_set():
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                stop.wait(schedule.check_every)
        yield
    finally:
        os.close(descriptor)


def _append(home: Home, line: dict[str, object]) -> None:
    """Add one line, in one write, to what became of the agents."""
    descriptor = os.open(home.runs_path / OUTCOMES, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _end_with_parent(stop: threading.Event) -> None:
    """Set ``stop`` and interrupt the main thread when standard input ends or the parent is gone.

    Again and again: a library may lose one interrupt, such as in the bare ``except`` around an import.
    """
    parent = os.getppid()
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], PARENT_SECONDS)
        if readable and not os.read(0, 1):
            break
    stop.set()
    while True:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(INTERRUPT_SECONDS)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Python's own answer to an interrupt, except while Ray is being shut down, which must not be cut short."""
    while frame is not None:
        if frame.f_code.co_name in CLEANING:
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def _first_line() -> bytes:
    """The first line of standard input, read without looking beyond it."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until standard input ends; see the module."""
    parser = argparse.ArgumentParser(description="Retrain a home's agents on schedule.")
    parser.add_argument("--home", required=True)
    home = Home(parser.parse_args(arguments).home)
    stop = threading.Event()
    try:
        schedule = RetrainSchedule.from_json(json.loads(_first_line()))
        os.write(1, b"ready\n")
        os.dup2(2, 1)  # nobody reads the pipe from here on
        signal.signal(signal.SIGINT, _interrupt)
        threading.Thread(target=_end_with_parent, args=(stop,), daemon=True).start()
        retrain_on_schedule(home, schedule, stop)
    except (KeyboardInterrupt, Interrupted):
        pass
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # one that comes late says nothing new
    return 0


if __name__ == "__main__":
    sys.exit(main())
