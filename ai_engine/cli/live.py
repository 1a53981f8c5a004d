"""``status``: what is in production."""

from __future__ import annotations

import click

from ai_engine.cli.options import Options, command
from ai_engine.cli.running import perform


@command("status", "retrainer status")
def status(options: Options) -> None:
    """Show every agent of a home: its log, its champion, its gates."""
    perform(options, "status", home=options.home)


COMMANDS: tuple[click.Command, ...] = (status,)
