"""The public API: decision logs into better policies.

Names are imported when they are first used, so that an agent in production, which needs only
``ai_engine.deploy`` and ``ai_engine.continuous_learning``, never loads a training library.
"""

from __future__ import annotations

from envs.lazy import lazily

# Public name: the module that defines it.
_HOMES = {
    "init": ".data",
    "import_log": ".data",
    "inspect": ".data",
    "export": ".exporting",
    "log": ".decision_log",
    "log_path": ".log_keeping",
    "log_exclude": ".log_keeping",
    "log_forget": ".log_keeping",
    "log_compact": ".log_keeping",
    "train": ".training",
    "tune": ".learning",
    "evaluate": ".evaluating",
    "compare": ".comparing",
    "gate": ".deciding",
    "promote": ".deciding",
    "rollback": ".deciding",
    "hold": ".deciding",
    "release": ".deciding",
    "status": ".overview",
    "runs_list": ".runs",
    "runs_show": ".runs",
    "runs_stop": ".runs",
    "runs_resume": ".learning",
    "track_sync": ".tracking.synchronising",
    "demo": ".demonstration",
}

__all__ = list(_HOMES)

__getattr__, __dir__ = lazily(__name__, _HOMES)
