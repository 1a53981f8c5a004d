"""The console command ``retrainer``. Nothing but click is imported before a command runs."""

from __future__ import annotations

import os
import sys
import time


def main() -> None:
    """Run the console command on ``sys.argv`` and end the process with its exit code."""
    started = time.monotonic()
    # Beside other load, two threads for a small matrix wait for each other longer than one computes.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        from ai_engine.cli.application import retrainer
        from ai_engine.cli.terminal import heed_interrupts, hush, tolerate_encodings

        heed_interrupts()
        tolerate_encodings()
        try:
            retrainer(obj=started)
        finally:
            hush()
    except KeyboardInterrupt:  # before a command ran, or a second time while the first was being answered
        sys.exit(130)
