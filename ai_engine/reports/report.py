"""The report page: a document in, one self-contained page out.

The page loads nothing and runs nothing: its style and drawings are inside, and its content security
policy forbids the rest, whatever the document's texts contain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ai_engine.reports import formats
from ai_engine.reports.curves import curves_view
from ai_engine.reports.document import ReportDocument
from ai_engine.reports.drawing import clean
from ai_engine.reports.views import action_view, card_view, gate_view, outcome_view, truth_view, variants_view
from envs.errors import MissingExtraError
from envs.storage import LocalStorage

if TYPE_CHECKING:
    from jinja2 import Template

FILTERS: Mapping[str, Callable[..., str]] = {
    "number": formats.number,
    "percent": formats.percent,
    "duration": formats.duration,
    "words": formats.words,
    "figure": formats.figure,
    "label": formats.label,
    "sentence": formats.sentence,
}


def render_report(document: ReportDocument) -> str:
    """The page as HTML text.

    Raises:
        MissingExtraError: jinja2 is not installed; the message is the install line.
    """
    return clean(_template().render(_context(document)))


def write_report(document: ReportDocument, path: str | Path) -> None:
    """Write the page to ``path``: readers see the old page or the new one, never a part.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    target = Path(path)
    page = render_report(document).encode("utf-8")
    LocalStorage(target.parent).replace(target.name, page)


@cache
def _template() -> Template:
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        remedy = 'install it with: pip install "retrainer[train]"'
        raise MissingExtraError("writing a report needs jinja2", where="report", remedy=remedy) from None
    here = files("ai_engine.reports")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters.update(FILTERS)
    # Drawings are built as element trees, which escape every text that they hold.
    environment.filters["drawing"] = Markup
    environment.globals["style"] = Markup(here.joinpath("style.css").read_text("utf-8"))
    return environment.from_string(here.joinpath("template.html").read_text("utf-8"))


def _context(document: ReportDocument) -> dict[str, Any]:
    return {
        "document": document,
        "outcome": outcome_view(document.gate),
        "card": card_view(document),
        "variants": variants_view(document.variants),
        "curves": curves_view(document.variants),
        "gate": gate_view(document.gate),
        "actions": action_view(document.actions),
        "truth": truth_view(document.reveal),
    }
