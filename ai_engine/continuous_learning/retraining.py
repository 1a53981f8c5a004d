"""The parent's end of scheduled retraining: an interpreter of its own, bound to this one by a pipe."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from ai_engine.continuous_learning.retraining_status import OUTPUT, RetrainingStatus, read_status
from ai_engine.continuous_learning.schedule import RetrainSchedule
from envs.errors import MissingExtraError, RetrainerError
from envs.home import Home
from envs.storage import make_directory

MODULE = "ai_engine.retrain.schedule_process"
NEEDED = ("ray", "torch", "pyarrow", "scipy", "gymnasium", "jinja2")
READY = b"ready\n"
START_SECONDS = 60.0
"""For the new interpreter to say that it is there."""
STOP_SECONDS = 20.0
"""For a sweep to be interrupted in good order; then the process is terminated."""
KILL_SECONDS = 5.0
OUTPUT_BYTES = 1_000_000
"""Beyond so many, what the processes printed is begun anew."""


class RetrainingError(RetrainerError):
    """The retraining process did not start; says what it printed."""

    exit_code = 1


class RetrainingProcess:
    """Starts and ends the process that retrains a home on schedule.

    It is a new interpreter and no fork, so that it has none of this one's threads, locks or database
    handles. It ends when its standard input does: at :meth:`stop`, or when this process ends, however it ends.

    Args:
        home: the home.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self._schedule: RetrainSchedule | None = None
        self._process: subprocess.Popen[bytes] | None = None
        _PROCESSES.add(self)

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self, schedule: RetrainSchedule) -> None:
        """Start the process, unless it is there with this schedule, and return once it runs.

        Raises:
            MissingExtraError: a library that retraining needs is not installed.
            RetrainingError: the interpreter does not start.
        """
        if self.alive and schedule == self._schedule:
            return
        self.stop()
        if missing := next((name for name in NEEDED if find_spec(name) is None), None):
            remedy = 'install it: pip install "retrainer[train]"'
            raise MissingExtraError(f"retraining needs {missing}", where="auto_retrain", remedy=remedy)
        make_directory(self.home.runs_path)
        with open(self.home.runs_path / OUTPUT, "ab") as output:
            if output.tell() > OUTPUT_BYTES:
                output.truncate(0)
            begin = output.tell()
            process = subprocess.Popen(
                # -P: only what this process searches, in its order, and not also the current folder.
                [sys.executable, "-P", "-m", MODULE, "--home", str(self.home.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path)},
                bufsize=0,
                start_new_session=True,  # a Ctrl-C in the terminal is for the agent, which ends this one in order
            )
        self._process, self._schedule = process, schedule
        assert process.stdin is not None and process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(schedule.to_json()).encode() + b"\n")
        answered, _, _ = select.select([process.stdout], [], [], START_SECONDS)
        said = process.stdout.readline() if answered else b""
        process.stdout.close()
        if said != READY:
            self.stop(KILL_SECONDS)
            lines = Path(output.name).read_bytes()[begin:].decode(errors="replace").strip().splitlines()
            why = lines[-1] if lines else f"exit code {process.returncode}"
            where = f"process {process.pid}"
            raise RetrainingError(f"retraining does not start: {why}", where=where, remedy=f"see {output.name}")

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End the process; a sweep under way is interrupted, and the next pass goes on from it.

        Args:
            seconds: that it gets to end by itself before it is terminated.
        """
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        for after, end in ((seconds, process.terminate), (KILL_SECONDS, process.kill)):
            try:
                process.wait(after)
                break
            except subprocess.TimeoutExpired:
                end()
        process.wait()

    def status(self) -> RetrainingStatus:
        """The home's last pass, and whether this process is alive.

        Raises:
            DataError: the file of the last pass is damaged.
        """
        code = None if self._process is None else self._process.poll()
        return replace(read_status(self.home), alive=self.alive, exit_code=code)

    def _forget(self) -> None:
        """After a fork: the process is the parent's, and the child must not hold its input open."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()


_PROCESSES: weakref.WeakSet[RetrainingProcess] = weakref.WeakSet()


def _forget_after_fork() -> None:
    for process in list(_PROCESSES):
        process._forget()


_register: Callable[..., None] | None = getattr(os, "register_at_fork", None)
if _register is not None:
    _register(after_in_child=_forget_after_fork)
