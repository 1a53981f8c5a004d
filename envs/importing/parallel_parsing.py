"""JSON Lines, parsed and checked by several processes.

Parsing takes most of an import, and runs on one core of a process. The import reads, sends pieces of a file to
processes that only parse and check, works itself while all are busy, and takes the pieces in their order. What a
process cannot say (a piece with a row that is not plain, or the process is gone) the import finds out itself.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from selectors import EVENT_READ, DefaultSelector

from envs.declaration import to_table
from envs.importing.batches import CheckedBatch, MixedBatch
from envs.importing.frames import receive, send
from envs.importing.parsing_process import AHEAD, decisions_in
from envs.importing.reader_jsonl import Piece
from envs.processors import processors
from envs.specification import AgentSpecification

WORTH = 8 << 20  # bytes of a source; a process takes a third of a second to begin
MOST = 8  # processes: beyond, the import cannot read and write as fast as they parse
TRIED = 8  # answers after which processes that mostly know nothing are given up
PIPE = 1 << 20  # bytes: a piece, or an answer, at once
COMMAND = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from envs.importing.parsing_process import main; main()"
)
Found = CheckedBatch | MixedBatch


@dataclass(slots=True)
class _Task:
    piece: Piece
    found: Found | None = None


class ParsingProcesses:
    """Processes that parse for one import; to be closed.

    Args:
        specification: the agent's declaration.
        present: gets the names of the fields that were met.
        count: how many; by default one for each further core that this process may use.
    """

    def __init__(self, specification: AgentSpecification, present: set[str], count: int | None = None) -> None:
        self._present = present
        self._answers = self._unknown = 0
        self._selector = DefaultSelector()
        declared = json.dumps([specification.name, to_table(specification)]).encode()
        for _ in range(min(processors() - 1, MOST) if count is None else count):
            try:
                process = _Process(declared)
            except OSError:  # no more processes are allowed
                break
            self._selector.register(process.reading, EVENT_READ, process)

    def found(self, pieces: Iterable[Piece], own: Callable[[Piece], Found]) -> Iterator[Found]:
        """What is in each piece, in order; ``own`` finds it out in this process."""
        waiting: deque[_Task] = deque()
        for piece in pieces:
            task = _Task(piece)
            waiting.append(task)
            self._receive(own, wait=False)
            # The first lines may begin with a mark of the byte order.
            if not (piece.before and self._sent(task)):
                task.found = own(piece)
            while waiting and (waiting[0].found or len(waiting) > 2 * AHEAD * len(self._processes())):
                yield self._first(waiting, own)
        while waiting:
            yield self._first(waiting, own)

    def close(self) -> None:
        """End the processes."""
        for process in self._processes():
            self._end(process)
        self._selector.close()

    def _processes(self) -> list[_Process]:
        return [key.data for key in self._selector.get_map().values()]

    def _sent(self, task: _Task) -> bool:
        ready = [process for process in self._processes() if process.ready and len(process.tasks) < AHEAD]
        if not ready:
            return False
        process = min(ready, key=lambda one: len(one.tasks))
        process.tasks.append(task)
        with suppress(OSError):  # it is gone, which is found out where its answer is read
            send(process.writing, task.piece.text)
        return True

    def _first(self, waiting: deque[_Task], own: Callable[[Piece], Found]) -> Found:
        while waiting[0].found is None:
            self._receive(own, wait=True)
        found = waiting.popleft().found
        assert found is not None
        return found

    def _receive(self, own: Callable[[Piece], Found], *, wait: bool) -> None:
        for key, _ in self._selector.select(None if wait else 0) if self._selector.get_map() else ():
            process: _Process = key.data
            answer = receive(process.reading)
            if answer is None:
                self._give_up(process, own)
            elif not process.ready:
                process.ready = True
            else:
                self._take(process.tasks.popleft(), answer, own)
        if self._answers >= TRIED and 2 * self._unknown > self._answers:
            for process in self._processes():
                self._give_up(process, own)

    def _take(self, task: _Task, answer: bytes, own: Callable[[Piece], Found]) -> None:
        self._answers += 1
        known = decisions_in(answer)
        if known is None:
            self._unknown += 1
            task.found = own(task.piece)
            return
        decisions, present = known
        self._present.update(present)
        piece = task.piece
        lines = range(piece.before + 1, piece.before + 1 + decisions.size)
        task.found = CheckedBatch(decisions, lines, piece.position, piece.done)

    def _give_up(self, process: _Process, own: Callable[[Piece], Found]) -> None:
        self._end(process)
        for task in process.tasks:
            task.found = own(task.piece)

    def _end(self, process: _Process) -> None:
        self._selector.unregister(process.reading)
        process.end()


class _Process:
    """One process.

    Attributes:
        ready: whether it can be sent pieces.
        tasks: what it was sent and has not answered.
    """

    def __init__(self, declared: bytes) -> None:
        self.ready = False
        self.tasks: deque[_Task] = deque()
        command = [sys.executable, "-c", COMMAND, json.dumps(sys.path)]
        self._process = subprocess.Popen(
            command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._pipes = (self._process.stdin, self._process.stdout)
        self.writing, self.reading = (pipe.fileno() for pipe in self._pipes)
        for descriptor in (self.writing, self.reading) if hasattr(fcntl, "F_SETPIPE_SZ") else ():
            with suppress(OSError):  # it is more than this user may have
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE)
        send(self.writing, declared)

    def end(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        self._process.kill()
        self._process.wait()
