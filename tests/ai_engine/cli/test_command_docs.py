"""Every command line in the documentation is taken, and every needed option is in one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ai_engine.cli.application import retrainer

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def lines(page: Path) -> Iterator[str]:
    """The command lines of a page's blocks, continued ones as one."""
    for language, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines() if language in ("", "sh", "bash", "console") else ():
            if line.strip().removeprefix("$ ").startswith("retrainer "):
                yield line.strip().removeprefix("$ ")


def parsed(line: str) -> click.Context:
    """The innermost context of a command line that is not run.

    Raises:
        click.UsageError: it is none.
    """
    words = shlex.split(line, comments=True)[1:]
    context = retrainer.make_context("retrainer", words)
    while isinstance(context.command, click.Group):
        rest = [*context.protected_args, *context.args] if hasattr(context, "protected_args") else context.args
        name, command, words = context.command.resolve_command(context, rest)
        assert command is not None
        context = command.make_context(name, words, parent=context)
    return context


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_lines_of_a_page_are_taken(page: Path) -> None:
    for line in lines(page):
        try:
            parsed(line)
        except click.ClickException as error:
            pytest.fail(f"{line}: {error.format_message()}")


def test_a_needed_option_stands_in_some_line() -> None:
    known = "\n".join(line for page in PAGES for line in lines(page))
    for name, command in retrainer.commands.items():
        for option in command.params:
            if isinstance(option, click.Option) and option.required:
                assert re.search(rf"retrainer {name} .*{option.opts[0]}", known), (name, option.opts)
