"""What every command has in common: its options and the form of its help."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import click

from ai_engine.cli.values import Folder


@dataclass(frozen=True, slots=True)
class Options:
    """The options of every command.

    Attributes:
        home: the folder that was named, or ``None``.
        as_json: whether the result is wanted as JSON.
        debug: whether tracebacks and the libraries' own output are wanted.
    """

    home: str | None
    as_json: bool
    debug: bool


def command(
    name: str, example: str, *, group: click.Group | None = None
) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function a command: its first argument is :class:`Options`, its docstring the summary.

    Args:
        name: what the user types.
        example: one call of it, for the help.
        group: the group that it belongs to.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def called(home: str | None, as_json: bool, debug: bool, **arguments: Any) -> None:
            function(Options(home, as_json, debug), **arguments)

        for option in reversed(_common()):
            called = option(called)
        made = click.command(name, epilog=f"\b\nExample:\n  {example}")(called)
        if group is not None:
            group.add_command(made)
        return made

    return decorate


def refuse(message: str) -> NoReturn:
    """End the command because of how it was called.

    Raises:
        click.UsageError: always.
    """
    raise click.UsageError(message, ctx=click.get_current_context(silent=True))


def _common() -> tuple[Callable[[Any], Any], ...]:
    return (
        click.option(
            "--home",
            type=Folder(),
            help="The home's folder; else RETRAINER_HOME, else the nearest retrainer.toml upwards.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output."),
        click.option("--debug", is_flag=True, help="Show tracebacks and what libraries print."),
    )
