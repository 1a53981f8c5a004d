"""What a home remembers of a tracker that failed, so that ``status`` can say it."""

from __future__ import annotations

import json

from envs.home import Home
from envs.storage import LocalStorage

BEHIND = "tracking.json"


def behind(home: Home) -> dict[str, str]:
    """Why a tracker does not know everything, by ``AGENT in TRACKER``; empty where all of them do."""
    try:
        found = json.loads((home.runs_path / BEHIND).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(what): str(why) for what, why in found.items()} if isinstance(found, dict) else {}


def remember(home: Home, agent: str, tracker: str, problem: str) -> None:
    """Keep why a tracker failed on an agent; without a problem, forget it."""
    before = behind(home)
    after = {what: why for what, why in before.items() if what != f"{agent} in {tracker}"}
    if problem:
        after[f"{agent} in {tracker}"] = problem
    if after != before:
        LocalStorage(home.runs_path).replace(BEHIND, json.dumps(after, indent=1).encode())
