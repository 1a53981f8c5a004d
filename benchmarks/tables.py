"""Writes the tables of ``README.md`` and ``docs/benchmarks.md`` from ``benchmarks/results/*.json``.

python -m benchmarks.tables
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
OPEN, CLOSE = "<!-- results -->", "<!-- /results -->"
Documents = list[dict[str, Any]]


def results() -> Documents:
    """All kept results, by name."""
    return [json.loads(path.read_text()) for path in sorted((ROOT / "benchmarks" / "results").glob("*.json"))]


def summary(documents: Documents) -> str:
    """One line for each benchmark: how many of its figures hold their goal."""
    lines = ["| benchmark | figures that hold their goal | measured |", "|---|---|---|"]
    for document in documents:
        held = sum(row["holds"] for row in document["rows"])
        lines.append(f"| `{document['benchmark']}` | {held} of {len(document['rows'])} | {_where(document)} |")
    return "\n".join(lines)


def details(documents: Documents) -> str:
    """One line for each goal of each benchmark: how often it held, and the figures' range."""
    lines = ["| benchmark | goal | held | smallest, median, largest | measured |", "|---|---|---|---|---|"]
    for document in documents:
        goals: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in document["rows"]:
            goals.setdefault((row["goal"], row["unit"]), []).append(row)
        for (goal, unit), rows in goals.items():
            figures = [row["ours"] for row in rows if row["ours"] is not None]
            held = sum(row["holds"] for row in rows)
            spread = ", ".join(f"{value:.4g}" for value in (min(figures), median(figures), max(figures)))
            spread = f"{spread} {unit}".strip()
            lines.append(
                f"| `{document['benchmark']}` | {goal} | {held} of {len(rows)} | {spread} | {_where(document)} |"
            )
    return "\n".join(lines)


TABLES: Mapping[str, Callable[[Documents], str]] = {"README.md": summary, "docs/benchmarks.md": details}
"""What stands in which document."""


def rewritten(text: str, table: Callable[[Documents], str]) -> str:
    """The document with its table renewed."""
    head, _, rest = text.partition(OPEN)
    _, _, tail = rest.partition(CLOSE)
    return f"{head}{OPEN}\n{table(results())}\n{CLOSE}{tail}"


def _where(document: dict[str, Any]) -> str:
    return f"{document['environment']['date']}, {document['environment']['commit']}"


def main() -> None:
    """Rewrite the documents."""
    for name, table in TABLES.items():
        path = ROOT / name
        path.write_text(rewritten(path.read_text(encoding="utf-8"), table), encoding="utf-8")


if __name__ == "__main__":
    main()
