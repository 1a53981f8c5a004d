"""The calibration of evaluation, selection and gate, beside OBP, SCOPE-RL and d3rlpy.

    python -m benchmarks.trust [--quick] [--json] [--only PART] [--logs N] [--keep FOLDER]

Without ``--quick`` the parts take hours together: run them one by one with ``--only``, and name a folder
with ``--keep`` in which finished pieces survive an interruption.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from pathlib import Path

from benchmarks.rows import Row, arguments, publish
from benchmarks.trust.request import Request
from envs.errors import DataError

PARTS = (
    "coverage", "calibration", "answers", "widths", "regret", "errors", "speed", "false_promotions", "power",
)  # fmt: skip
"""Each a module of this package with ``measure(request) -> rows``."""


def part(name: str, request: Request) -> list[Row]:
    """The rows of a part.

    Raises:
        DataError: there is no such part.
    """
    if name not in PARTS:
        raise DataError(f"{name!r} is no part", where="benchmarks.trust", remedy=f"one of {', '.join(PARTS)}")
    rows: list[Row] = import_module(f"benchmarks.trust.{name}").measure(request)
    return rows


def main() -> None:
    """Measure one part, or all that are there."""
    options = arguments(
        __doc__,
        only=(str, "", f"one part: {', '.join(PARTS)}"),
        logs=(int, 0, "logs a setting, instead of a part's own number"),
        keep=(str, "", "folder of finished pieces, from which an interrupted run goes on"),
    )
    request = Request(options.quick, options.logs, Path(options.keep) if options.keep else None)
    names = [options.only] if options.only else PARTS
    rows: list[Row] = []
    try:
        for name in names:
            started = time.monotonic()
            rows += part(name, request)
            print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    except DataError as error:
        sys.exit(f"error: {error}")
    publish(f"trust {options.only}".strip(), rows, options.json)


if __name__ == "__main__":
    main()
