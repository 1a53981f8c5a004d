"""``doctor``: what this machine and this home can do. Imports no library, so that it works where one is broken."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ai_engine.cli.failures import INSTALL
from ai_engine.text import table
from envs.errors import RetrainerError
from envs.home import Home
from envs.processors import processors

NEEDED_TO_TRAIN = ("ray", "torch", "gymnasium", "pyarrow", "scipy", "jinja2", "cma")
LEAST_FREE_BYTES = 2 * 10**9


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        good: whether it is as it should be.
        detail: what was found, with the remedy where it is not.
    """

    name: str
    good: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks."""

    checks: tuple[Check, ...]

    def to_json(self) -> dict[str, Any]:
        """One document."""
        good = all(check.good for check in self.checks)
        return {"schema_version": 1, "good": good, "checks": [asdict(check) for check in self.checks]}

    def to_text(self) -> str:
        """A table and one sentence."""
        wanting = [check.name for check in self.checks if not check.good]
        rows = [("ok" if check.good else "--", check.name, check.detail) for check in self.checks]
        return f"{table((), rows)}\n" + (f"Look at: {', '.join(wanting)}." if wanting else "Everything is in order.")


def doctor(*, home: str | Path | None = None) -> Diagnosis:
    """Look at Python, the training extra, the home and the disk."""
    return Diagnosis(tuple(_checks(home)))


def _checks(home: str | Path | None) -> Iterator[Check]:
    yield Check("python", sys.version_info >= (3, 11), sys.version.split()[0])
    missing = [module for module in NEEDED_TO_TRAIN if find_spec(module) is None]
    detail = f"{', '.join(missing)} missing; {INSTALL}" if missing else "can train, tune and gate"
    yield Check("training extra", not missing, detail)
    yield Check("processors", True, str(processors()))
    place = Path.cwd()
    try:
        found = Home.find(home)
        place = found.path
        agents = ", ".join(found.agents()) or "no agent declared yet"
        yield Check("home", len(found.split_key) == 32, f"{found.path} ({agents})")
        yield Check("writable", os.access(place, os.W_OK), str(place))
    except RetrainerError as error:
        yield Check("home", False, str(error))
    free = shutil.disk_usage(place).free
    yield Check("disk", free >= LEAST_FREE_BYTES, f"{free / 1e9:,.1f} GB free")
