"""The one form of every benchmark's result."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from algorithms.policy.provenance import plain_json


@dataclass(frozen=True, slots=True)
class Row:
    """One figure beside its anchor.

    Attributes:
        case: what was measured, such as ``seed 3``.
        metric: name of the figure.
        unit: its unit.
        ours: our figure.
        anchor: the peer or limit beside it.
        anchor_value: the anchor's figure.
        goal: the requirement in a sentence.
        holds: whether it is met.
    """

    case: str
    metric: str
    unit: str
    ours: float
    anchor: str
    anchor_value: float
    goal: str
    holds: bool


def arguments(description: str | None, **more: tuple[type, object, str]) -> argparse.Namespace:
    """Parse ``--quick``, ``--json`` and a benchmark's own options (name: type, default, help)."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer seeds, at most 50 s")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    for name, (kind, default, text) in more.items():
        parser.add_argument(f"--{name}", type=kind, default=default, help=text)  # type: ignore[arg-type]
    return parser.parse_args()


def _commit() -> str:
    """The commit that was measured, empty outside a checkout."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def publish(name: str, rows: list[Row], as_json: bool) -> None:
    """Print the rows; exit with 1 where a goal is missed."""
    if as_json:
        environment = {
            "date": datetime.now(UTC).date().isoformat(),
            "commit": _commit(),
            "python": platform.python_version(),
            "machine": platform.machine(),
            **{package: version(package) for package in ("numpy", "ray", "gymnasium")},
        }
        listed = [{**asdict(row), "ratio": row.ours / row.anchor_value if row.anchor_value else None} for row in rows]
        print(json.dumps(plain_json({"benchmark": name, "environment": environment, "rows": listed})))
    else:
        for row in rows:
            mark = "ok  " if row.holds else "MISS"
            print(
                f"{mark} {row.case:24} {row.metric:32} {row.ours:10.4g} {row.unit}  "
                f"({row.anchor} {row.anchor_value:.4g})"
            )
            print(f"     {row.goal}")
    sys.exit(0 if all(row.holds for row in rows) else 1)
