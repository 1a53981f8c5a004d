"""The report page of a run: a document in, one self-contained page out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ai_engine.reports.curves import curves_view
from ai_engine.reports.document import ReportDocument
from ai_engine.reports.gate_view import gate_view, guardrails_view, placebo_view
from ai_engine.reports.pages import render_page, write_page
from ai_engine.reports.views import action_view, card_view, outcome_view, truth_view, variants_view


def render_report(document: ReportDocument) -> str:
    """The page as HTML text.

    Raises:
        MissingExtraError: jinja2 is not installed; the message is the install line.
    """
    return render_page("template.html", _context(document))


def write_report(document: ReportDocument, path: str | Path) -> None:
    """Write the page to ``path``: readers see the old page or the new one, never a part.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    write_page(render_report(document), path)


def _context(document: ReportDocument) -> dict[str, Any]:
    return {
        "document": document,
        "outcome": outcome_view(document.gate),
        "card": card_view(document.card, document.agent, document.figures),
        "variants": variants_view(document.variants),
        "curves": curves_view(document.variants),
        "gate": gate_view(document.gate),
        "guardrails": guardrails_view(document.gate),
        "placebo": placebo_view(document.placebo),
        "actions": action_view(document.actions),
        "truth": truth_view(document.reveal),
    }
