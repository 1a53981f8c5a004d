"""Group commit: threads that write at the same moment share one transaction, and so one flush of the disk.

Whoever gets the journal's lock writes what all have queued up by then; the others find their part done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from envs.errors import RetrainerError
from envs.forking import reset_after_fork
from envs.journal.rows import JournalRow

MOST_ROWS = 20_000  # of one transaction: others wait for its flush


@dataclass(slots=True, eq=False)
class Request:
    """One caller's rows, all or none of which are written, and what became of them.

    Attributes:
        rows: what to write.
        hashes: their content hashes, where they are known.
        done: whether they were dealt with.
        added: how many were new.
        error: why none was written.
    """

    rows: Sequence[JournalRow]
    hashes: Sequence[str] | None = None
    done: bool = False
    added: int = 0
    error: Exception | None = None


class CommitQueue:
    """The requests that wait for the journal's lock.

    Args:
        commit: writes requests in one transaction, and leaves with each what became of it alone. What it
            raises is the fate of all.
    """

    def __init__(self, commit: Callable[[list[Request], float], None]) -> None:
        self._commit = commit
        self.reset()
        reset_after_fork(self, CommitQueue.reset)

    def reset(self) -> None:
        """Begin anew, with nothing that waits: in a forked child that is the parent's to write."""
        self._guard = threading.Lock()
        self._waiting: list[Request] = []

    def submit(self, request: Request, lock: Any, deadline: float) -> bool:
        """Write a request; ``False``, and nothing was written, where the lock was not to be had in time.

        Args:
            request: what to write.
            lock: the journal's.
            deadline: until when to wait (monotonic clock).

        Raises:
            Exception: what refused it.
        """
        with self._guard:
            self._waiting.append(request)
        while not request.done:
            if not lock.acquire(timeout=max(deadline - time.monotonic(), 0.0)):
                with self._guard:
                    if request in self._waiting:
                        self._waiting.remove(request)
                        return False
                # Somebody is writing it at this moment, and will not take longer than may be waited.
                with lock:
                    break
            try:
                if not request.done:
                    self._write_group(deadline)
            finally:
                lock.release()
        if request.error is not None:
            raise request.error
        return True

    def _write_group(self, deadline: float) -> None:
        with self._guard:
            count = rows = 0
            while count < len(self._waiting) and (count == 0 or rows + len(self._waiting[count].rows) <= MOST_ROWS):
                rows += len(self._waiting[count].rows)
                count += 1
            group, self._waiting = self._waiting[:count], self._waiting[count:]
        try:
            self._commit(group, deadline)
            for request in group:
                request.done = True
        except Exception as error:
            for request in group:
                request.done, request.error = True, _own(error)
        except BaseException:  # an interrupt concerns this thread alone: the next one writes the rest
            with self._guard:
                self._waiting[:0] = [request for request in group if not request.done]
            raise


def _own(error: Exception) -> Exception:
    """An error for one of several threads: each adds its own traceback to it."""
    if type(error).__init__ is RetrainerError.__init__ and isinstance(error, RetrainerError):
        own: Exception = type(error)(error.problem, where=error.where, remedy=error.remedy)
        own.__cause__ = error.__cause__
        return own
    return error
