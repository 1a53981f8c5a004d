"""What all pages share: the template engine, the style sheet and the filters. Needs jinja2.

A page loads nothing and runs nothing: its style and drawings are inside, and its content security
policy forbids the rest, whatever the document's texts contain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ai_engine.reports import formats
from ai_engine.reports.drawing import clean
from envs.errors import DataError, MissingExtraError
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


def render_page(template: str, context: Mapping[str, Any]) -> str:
    """A page as HTML text.

    Args:
        template: file name beside this module.
        context: what the template reads.

    Raises:
        MissingExtraError: jinja2 is not installed; the message is the install line.
    """
    return clean(_template(template).render(context))


def check_place(path: str | Path) -> None:
    """Say before anything is computed that a page cannot be written there.

    Raises:
        DataError: it is a folder, or its folder is not there.
    """
    target = Path(path)
    if target.is_dir():
        raise DataError("is a folder", where=str(path), remedy=f"name a file in it, such as {target / 'page.html'}")
    if not target.parent.is_dir():
        raise DataError(f"there is no folder {target.parent}", where=str(path), remedy="create it, or name another")


def write_page(page: str, path: str | Path) -> None:
    """Write a page to ``path``: readers see the old page or the new one, never a part."""
    target = Path(path)
    LocalStorage(target.parent).replace(target.name, page.encode("utf-8"))


@cache
def _template(name: str) -> Template:
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        remedy = 'install it with: pip install "retrainer[train]"'
        raise MissingExtraError("writing a page needs jinja2", where="report", remedy=remedy) from None
    here = files("ai_engine.reports")
    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        loader=FunctionLoader(lambda part: here.joinpath(part).read_text("utf-8")),
    )
    environment.filters.update(FILTERS)
    # Drawings are built as element trees, which escape every text that they hold.
    environment.filters["drawing"] = Markup
    environment.globals["style"] = Markup(here.joinpath("style.css").read_text("utf-8"))
    return environment.get_template(name)
