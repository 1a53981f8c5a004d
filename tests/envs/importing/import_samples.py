"""Files to import, and what a refusal must leave behind: nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from envs.errors import RetrainerError
from envs.home import Home
from envs.importing.importer import import_files
from envs.journal.journal import Journal
from envs.observation import ObservationField, ObservationSpecification
from envs.record import DecisionRecord
from envs.specification import AgentSpecification

SPECIFICATION = AgentSpecification(
    "scaling",
    ObservationSpecification("vector", (ObservationField("load"), ObservationField("queue"))),
    ("down", "hold", "up"),
    reward_range=(-10.0, 10.0),
    horizon=4,
)


def rows(count: int = 12, **changes: Any) -> list[dict[str, Any]]:
    return [
        {
            "event_id": f"e{index}",
            "episode_id": f"episode {index // 4}",
            "step": index % 4,
            "timestamp": f"2026-01-31T09:30:{index % 60:02}Z",
            "observation": [index / 2, 1.0],
            "action": ("down", "hold", "up")[index % 3],
            "propensity": 0.5,
            "reward": float(index % 5),
            "terminated": index % 4 == 3,
            **changes,
        }
        for index in range(count)
    ]


def jsonl(path: Path, content: list[Any]) -> Path:
    path.write_text("".join((item if isinstance(item, str) else json.dumps(item)) + "\n" for item in content))
    return path


def snapshot(home: Home) -> dict[str, bytes]:
    return {str(path.relative_to(home.path)): path.read_bytes() for path in home.path.rglob("*") if path.is_file()}


def stored(home: Home, agent: str = "scaling") -> list[DecisionRecord]:
    with Journal(home.journal_path) as journal:
        return [record for _, record in journal.read(agent)]


def refused(home: Home, *paths: Path, agent: str = "scaling", **options: Any) -> str:
    """The error's line; nothing may have been written, with --dry-run neither."""
    before = snapshot(home)
    with pytest.raises(RetrainerError) as caught:
        import_files(home, agent, list(paths), **options)
    assert snapshot(home) == before
    line = str(caught.value)
    assert "\n" not in line and caught.value.exit_code == 2 and caught.value.remedy
    return line


def killed(patch: pytest.MonkeyPatch, owner: Any, name: str, moment: int) -> list[int]:
    """Interrupts the call of that number, when it has done its work; how many there were."""
    done = [0]
    function = getattr(owner, name)

    def counted(*arguments: Any, **keywords: Any) -> Any:
        result = function(*arguments, **keywords)
        done[0] += 1
        if done[0] == moment:
            raise KeyboardInterrupt
        return result

    patch.setattr(owner, name, counted)
    return done
