"""The public API: decision logs into better policies.

Names are imported when they are first used, so that an agent in production, which needs only
``ai_engine.deploy`` and ``ai_engine.continuous_learning``, never loads a training library.
"""

from __future__ import annotations

import importlib
from typing import Any

# Public name: the module that defines it.
_EXPORTS: dict[str, str] = {
    "init": "ai_engine.data",
    "import_log": "ai_engine.data",
    "inspect": "ai_engine.data",
    "export": "ai_engine.exporting",
    "log": "ai_engine.decision_log",
    "log_path": "ai_engine.log_keeping",
    "log_exclude": "ai_engine.log_keeping",
    "log_forget": "ai_engine.log_keeping",
    "log_compact": "ai_engine.log_keeping",
    "train": "ai_engine.training",
    "tune": "ai_engine.learning",
    "evaluate": "ai_engine.evaluating",
    "compare": "ai_engine.comparing",
    "gate": "ai_engine.deciding",
    "promote": "ai_engine.deciding",
    "rollback": "ai_engine.deciding",
    "hold": "ai_engine.deciding",
    "release": "ai_engine.deciding",
    "status": "ai_engine.overview",
    "runs_list": "ai_engine.runs",
    "runs_show": "ai_engine.runs",
    "runs_stop": "ai_engine.runs",
    "runs_resume": "ai_engine.learning",
    "track_sync": "ai_engine.tracking.synchronising",
    "demo": "ai_engine.demonstration",
}

__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
