"""Write ``prometheus_answers.json``: what a real Prometheus answered to the questions of the fast tests.

Run in the project's environment where ``prometheus`` and ``promtool`` are in the path (Debian's ``prometheus``,
2.42 here): ``python -m tests.data.importing.make_prometheus``. The history is that of
``tests/envs/prometheus_history.py``.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from envs.importing.readers import reader_of
from tests.envs.importing.prometheus_history import ANSWERS, OPTIONS, ask, asked, real_server, replaying_server

BROKEN = {"query": "rate(app_load", "start": "1767225599.999", "end": "1767232799.999", "step": "60.000"}


def main() -> None:
    """Ask the real server what the reader asks, and one thing that it refuses."""
    with tempfile.TemporaryDirectory() as folder, real_server(Path(folder)) as address:
        answers: dict[str, object] = {}
        for _ in range(20):
            seen: list[dict[str, str]] = []
            with replaying_server(answers, seen) as replaying:  # it names the question that has no answer yet
                try:
                    for _batch in reader_of(replaying, "prometheus", OPTIONS).batches():
                        pass
                except Exception:
                    answers[asked(seen[-1])] = ask(address, seen[-1])
                    continue
            break
        answers[asked(BROKEN)] = ask(address, BROKEN)
    ANSWERS.write_text(json.dumps(answers, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
