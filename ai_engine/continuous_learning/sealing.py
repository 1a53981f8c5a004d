"""Sealing in the background: a process of its own moves old events out of the journal, now and then."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import warnings
from importlib.util import find_spec

from envs.errors import RetrainerError, RetrainerWarning
from envs.home import Home
from envs.journal.journal import Journal
from envs.log.place import seal_rows

MODULE = "envs.log.sealing"
NEEDED = ("deltalake", "pyarrow")
KEPT_BACK = 10_000  # the newest events stay, for their outcomes to come and be sealed beside them
CHECK_EVERY = 10_000


class BackgroundSealing:
    """Looks, after some thousand events, whether there is enough to seal, and has it done.

    Nothing of it happens in the thread that records: that one counts. Without deltalake and pyarrow
    the journal keeps everything.

    Args:
        home: the home.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        # Of many processes that each record a little, one looks as often as a single one that records it all.
        self._count = random.randrange(CHECK_EVERY)
        self._thread: threading.Thread | None = None
        self._possible: bool | None = None

    def notice(self, events: int) -> None:
        """Count events that were recorded."""
        self._count += events
        if self._count < CHECK_EVERY or (self._thread is not None and self._thread.is_alive()):
            return
        self._count = 0
        if self._possible is None:
            self._possible = all(find_spec(name) is not None for name in NEEDED)
        if self._possible:
            self._thread = threading.Thread(target=self._seal, name="retrainer-sealing", daemon=True)
            self._thread.start()

    def _seal(self) -> None:
        try:
            problem = self._sealed()
        except RetrainerError as error:
            problem = str(error)
        if problem:
            warnings.warn(f"the log of {self._home.path} was not sealed: {problem}", RetrainerWarning, stacklevel=2)

    def _sealed(self) -> str:
        """Seal if there is enough; what went wrong, or empty."""
        enough = seal_rows(self._home)
        with Journal(self._home.journal_path) as journal:
            if not enough or journal.unsealed() < enough + KEPT_BACK:
                return ""
        done = subprocess.run(
            [sys.executable, "-P", "-m", MODULE, str(self._home.path), "--keep", str(KEPT_BACK)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C in the terminal is for the agent
            check=False,
        )
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return "" if not done.returncode else lines[-1] if lines else f"exit code {done.returncode}"
