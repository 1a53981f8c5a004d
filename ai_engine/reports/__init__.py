"""The report of a run: one self-contained page for the person who decides. Needs jinja2."""

from __future__ import annotations

from envs.lazy import lazily

_HOMES = {
    "ReportDocument": ".document",
    "render_report": ".report",
    "write_report": ".report",
}
__all__ = sorted(_HOMES)

__getattr__, __dir__ = lazily(__name__, _HOMES)
