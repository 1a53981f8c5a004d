"""The report of a run: one self-contained page for the person who decides. Needs jinja2."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "ReportDocument": "ai_engine.reports.document",
    "render_report": "ai_engine.reports.report",
    "write_report": "ai_engine.reports.report",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
