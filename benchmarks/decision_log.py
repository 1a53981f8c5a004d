"""The decision log's speed: durable recording, buffered recording, importing, loading ten million decisions.

python -m benchmarks.decision_log [--quick] [--json] [--only PART]
"""

from __future__ import annotations

from importlib import import_module

from benchmarks.rows import Row, arguments, publish

PARTS = {
    "recording": "benchmarks.log_recording",
    "loading": "benchmarks.log_loading",
    "importing": "benchmarks.log_importing",
}


def main() -> None:
    """Measure."""
    options = arguments(__doc__, only=(str, "", f"one part: {', '.join(PARTS)}"))
    rows: list[Row] = []
    for part, module in PARTS.items():
        if options.only in ("", part):
            rows += import_module(module).measure(options.quick)
    publish("decision_log", rows, options.json)


if __name__ == "__main__":
    main()
