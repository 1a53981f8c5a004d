"""The page of a comparison: a result in, one self-contained page out."""

from __future__ import annotations

from pathlib import Path

from ai_engine.comparing.result import CompareResult
from ai_engine.comparing.writing import conditions, title
from ai_engine.reports.compare_views import outcome_view, section_views, typographic
from ai_engine.reports.pages import render_page, write_page


def render_comparison(result: CompareResult) -> str:
    """The page as HTML text.

    Raises:
        MissingExtraError: jinja2 is not installed; the message is the install line.
    """
    context = {
        "title": title(result),
        "agent": result.agent,
        "split": result.split,
        "sentence": result.sentence,
        "conditions": typographic(conditions(result)),
        "outcome": outcome_view(result),
        "what_if": result.reward if result.what_if else "",
        "sections": section_views(result),
    }
    return render_page("compare_template.html", context)


def write_comparison(result: CompareResult, path: str | Path) -> None:
    """Write the page to ``path``, whole or not at all.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    write_page(render_comparison(result), path)
