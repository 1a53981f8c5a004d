"""Writes the README's table of results from ``benchmarks/results/*.json``.

python -m benchmarks.tables
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
OPEN, CLOSE = "<!-- results -->", "<!-- /results -->"


def results() -> list[dict[str, Any]]:
    """All kept results, by name."""
    return [json.loads(path.read_text()) for path in sorted((ROOT / "benchmarks" / "results").glob("*.json"))]


def table(documents: list[dict[str, Any]]) -> str:
    """One line for each goal of each benchmark: how often it held, and the figures' range."""
    lines = ["| benchmark | goal | held | smallest, median, largest | measured |", "|---|---|---|---|---|"]
    for document in documents:
        goals: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in document["rows"]:
            goals.setdefault((row["goal"], row["unit"]), []).append(row)
        where = f"{document['environment']['date']}, {document['environment']['commit']}"
        for (goal, unit), rows in goals.items():
            figures = [row["ours"] for row in rows]
            held = sum(row["holds"] for row in rows)
            spread = ", ".join(f"{value:.4g}" for value in (min(figures), median(figures), max(figures)))
            lines.append(
                f"| `{document['benchmark']}` | {goal} | {held} of {len(rows)} | {spread} {unit} | {where} |".replace(
                    "  ", " "
                )
            )
    return "\n".join(lines)


def rewritten(text: str) -> str:
    """The README with its table renewed."""
    head, _, rest = text.partition(OPEN)
    _, _, tail = rest.partition(CLOSE)
    return f"{head}{OPEN}\n{table(results())}\n{CLOSE}{tail}"


def main() -> None:
    """Rewrite the README."""
    path = ROOT / "README.md"
    path.write_text(rewritten(path.read_text()))


if __name__ == "__main__":
    main()
