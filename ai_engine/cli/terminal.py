"""What the process does with its terminal as a whole, from its first line to its last."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress


def heed_interrupts() -> None:
    """Let ``SIGINT`` interrupt us even where a shell started us in the background and had it ignored.

    ``retrainer runs stop`` sends that signal, and a sweep in the background must hear it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def tolerate_encodings() -> None:
    """Replace what a terminal of few characters cannot show, rather than fail after the work is done."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def hush() -> None:
    """Close the terminal to whatever libraries still have to say while the interpreter ends."""
    with suppress(OSError, ValueError, AttributeError):  # a reader that went away, or streams that are closed
        sys.stdout.flush()
        sys.stderr.flush()
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os.close(nowhere)
