"""A process that parses and checks pieces of JSON Lines for an import, which keeps all that it remembers."""

from __future__ import annotations

import json
import os
import sys
from queue import Queue
from threading import Thread

from envs.declaration import from_table
from envs.importing.blocks import PackedDecisions
from envs.importing.frames import receive, send
from envs.importing.garbage import rare_collection
from envs.importing.plain_rows import PlainChecker
from envs.importing.reader_jsonl import rows_of
from envs.journal.decision_columns import DecisionColumns

AHEAD = 2  # pieces that a process is sent before it has answered
HEAD = 4  # bytes of the length of an answer's head


def main() -> None:
    """Answer each piece of lines with its decisions, or with nothing where they are not plain.

    The first message is the agent and its declaration in JSON, and is answered with an empty one.
    """
    reading, writing = sys.stdin.fileno(), sys.stdout.fileno()
    declared = receive(reading)
    if declared is None:
        return
    name, table = json.loads(declared)
    present: set[str] = set()
    checker = PlainChecker(from_table(name, table), present)
    sys.setswitchinterval(0.0005)  # seconds: what is sent is taken at once
    pieces: Queue[bytes | None] = Queue(AHEAD)
    # Whoever sends must never wait while this process waits for its answer to be read.
    Thread(target=_take, args=(reading, pieces), daemon=True).start()
    try:
        with rare_collection():
            send(writing)
            while (piece := pieces.get()) is not None:
                send(writing, *_answer(piece, checker, present))
    except BrokenPipeError:  # the import is over
        os._exit(0)


def _take(reading: int, pieces: Queue[bytes | None]) -> None:
    while (piece := receive(reading)) is not None:
        pieces.put(piece)
    pieces.put(None)


def _answer(piece: bytes, checker: PlainChecker, present: set[str]) -> tuple[bytes, ...]:
    found = checker.checked(rows_of("", piece, before=1))
    if not isinstance(found, DecisionColumns):
        return ()
    decisions = PackedDecisions.of(found)
    head = json.dumps([decisions.size, len(decisions.keys), sorted(present)]).encode()
    return len(head).to_bytes(HEAD, "little"), head, decisions.keys, decisions.contents


def decisions_in(answer: bytes) -> tuple[PackedDecisions, list[str]] | None:
    """The decisions in an answer, and the names of the fields met so far; ``None`` where they are not plain."""
    if not answer:
        return None
    begin = HEAD + int.from_bytes(answer[:HEAD], "little")
    size, width, present = json.loads(answer[HEAD:begin])
    return PackedDecisions(size, answer[begin : begin + width], answer[begin + width :]), present


if __name__ == "__main__":
    main()
