"""What a command shows: one line of progress, and one result. Libraries are kept from the terminal."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

ERASE = "\x1b[K"
PHASE = re.compile(r"[^\d,:;(+]*")


class ProgressLine:
    """One line on a terminal that is written over; where there is no terminal, the last state of each phase.

    Args:
        stream: where to write, usually the terminal's standard error.
        interactive: whether the line can be written over; found out from the stream by default.
    """

    def __init__(self, stream: TextIO, *, interactive: bool | None = None) -> None:
        self._stream = stream
        self._interactive = _is_terminal(stream) if interactive is None else interactive
        self._plain = bool(os.environ.get("NO_COLOR"))  # then no escape sequences at all
        self._shown = 0
        self._last = ""
        self._phases: set[str] = set()

    def __call__(self, text: str) -> None:
        """Show ``text`` in the place of what was shown before."""
        line = " ".join(text.split())
        if self._interactive:
            self._overwrite(line)
        else:
            if self._last and _phase(self._last) != _phase(line):
                self._print_last()
            self._last = line

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune stores a copy of all that its callbacks hold; a copy has no terminal.
        return ProgressLine, (io.StringIO(),)

    def transient(self, text: str) -> None:
        """Show ``text`` on a terminal only: it says that work goes on, and nothing that a log needs."""
        if self._interactive:
            self(text)

    def done(self) -> None:
        """Clear the line; without a terminal, print the last state."""
        if self._interactive:
            self._overwrite("")
        else:
            self._print_last()

    def _overwrite(self, line: str) -> None:
        if not line and not self._shown:
            return
        line = line[: max(_width(self._stream) - 1, 1)]  # a full line would wrap and could not be written over
        if not self._plain:
            self._write(f"\r{line}{ERASE}")
        else:
            blank = " " * (self._shown - len(line))
            self._write(f"\r{line}{blank}" + (f"\r{line}" if blank else ""))
        self._shown = len(line)

    def _print_last(self) -> None:
        if self._last and _phase(self._last) not in self._phases:
            self._phases.add(_phase(self._last))
            self._write(f"{self._last}\n")
        self._last = ""

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # nobody reads it any more: the work goes on
            self._stream.write(text)
            self._stream.flush()


def render(result: Any, as_json: bool) -> str:
    """The result as one JSON document on one line, or as plain text."""
    if not as_json:
        return str(result.to_text())
    return document({"schema_version": 1, **result.to_json()})


def document(content: Mapping[str, Any]) -> str:
    """One strict JSON document; what JSON has no word for becomes null or text."""
    try:
        return json.dumps(content, allow_nan=False)
    except (TypeError, ValueError):
        from algorithms.policy.provenance import plain_json

        return json.dumps(plain_json(content), allow_nan=False)


@contextmanager
def quiet_libraries(folder: Path | None = None, *, show: bool = False) -> Iterator[TextIO]:
    """Keep the terminal for ourselves: all that anything writes to standard output or error goes to a log file.

    File descriptors 1 and 2 are turned to the log, so that native code and child processes are covered
    too. The log is deleted, except where the block fails for a reason that is not the user's input:
    then the traceback is added to it and the exception gets its path as ``log_path``.

    Args:
        folder: where the log stands; the system's temporary folder by default.
        show: let everything through to standard error instead.

    Yields:
        The real standard error, for a :class:`ProgressLine`.
    """
    streams = sys.stdout, sys.stderr
    _flush(*streams)
    terminal, own = _real_terminal(sys.stderr)
    saved = os.dup(1), os.dup(2)
    descriptor, path = (os.dup(2), None) if show else _open_log(folder)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    # Left open: a library's log handler may hold it longer than this block.
    sink = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stderr = sink
    keep = False
    try:
        yield terminal
    except BaseException as error:
        if path is not None and is_our_failure(error):
            traceback.print_exception(error, file=sink)
            error.log_path = path  # type: ignore[attr-defined]
            keep = True
        raise
    finally:
        _flush(sink)
        sys.stdout, sys.stderr = streams
        for number, copy in enumerate(saved, start=1):
            os.dup2(copy, number)
            os.close(copy)
        if own:
            terminal.close()
        if path is not None and not keep:
            path.unlink(missing_ok=True)


def is_our_failure(error: BaseException) -> bool:
    """Whether it is neither the user's input nor the user's wish that stopped us."""
    return isinstance(error, Exception) and getattr(error, "exit_code", 1) == 1


def _open_log(folder: Path | None) -> tuple[int, Path | None]:
    for place in (folder, None):
        with suppress(OSError):
            descriptor, name = tempfile.mkstemp(prefix="output-", suffix=".log", dir=place)
            return descriptor, Path(name)
    return os.open(os.devnull, os.O_WRONLY), None


def _real_terminal(stream: TextIO | None) -> tuple[TextIO, bool]:
    """Standard error as it is now, and whether it is a copy of ours to close."""
    if stream is None:
        return io.StringIO(), True
    try:
        real = stream.fileno() == 2
    except (OSError, ValueError):
        real = False
    if not real:
        return stream, False
    return open(os.dup(2), "w", encoding=stream.encoding, errors="replace"), True


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def _phase(line: str) -> str:
    """The words before the first figure: what the line is about."""
    found = PHASE.match(line)
    return found.group().strip() if found else line


def _flush(*streams: TextIO | None) -> None:
    for stream in streams:
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()
