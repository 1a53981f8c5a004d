"""Stand-ins for the public functions: they remember how they were called and give back a small result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import click.testing

PUBLIC = (
    *("init", "import_log", "inspect", "export", "train", "tune", "evaluate", "compare", "demo"),
    *("log_path", "log_exclude", "log_forget", "log_compact"),
    *("gate", "promote", "rollback", "hold", "release"),
    *("track_sync", "status", "runs_list", "runs_show", "runs_resume", "runs_stop"),
)


Run = Callable[..., click.testing.Result]
"""Runs a command line: its words, one by one."""


@dataclass
class Result:
    decision: str = "promote"
    agent: str = "scaling"
    version: str = "scaling@4"
    held: bool = False
    refused: bool = False
    content: dict[str, Any] = field(default_factory=lambda: {"schema_version": 1, "agent": "scaling"})

    def to_json(self) -> dict[str, Any]:
        return self.content

    def to_text(self) -> str:
        return "a table\nOne plain sentence."


@dataclass
class Calls:
    """What was called, newest last."""

    made: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    result: Any = field(default_factory=Result)
    act: Callable[..., None] | None = None

    def fake(self, name: str) -> Callable[..., Any]:
        def function(*arguments: Any, **keywords: Any) -> Any:
            self.made.append((name, arguments, keywords))
            if self.act is not None:
                self.act(**keywords)
            return self.result

        return function

    @property
    def last(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        return self.made[-1]
