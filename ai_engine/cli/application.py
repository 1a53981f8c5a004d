"""The root command: its groups, and the one place where errors become exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from ai_engine.cli import data, decide, learn, live, start
from ai_engine.cli.failures import failure, show_traceback
from ai_engine.cli.output import document

SECTIONS: dict[str, tuple[click.Command, ...]] = {
    "Start": start.COMMANDS,
    "Data": data.COMMANDS,
    "Learn": learn.COMMANDS,
    "Decide": decide.COMMANDS,
    "Live": live.COMMANDS,
}


class _Stopped(Exception):  # noqa: N818 - carries another exception past click, which would swallow it
    pass


class Retrainer(click.Group):
    """The root command."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; keep click from answering what it thinks is the terminal."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, EOFError, BrokenPipeError) as stopped:
            raise _Stopped from stopped

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line and exit with its code (return it, if not ``standalone_mode``)."""
        arguments = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(
                args,
                "retrainer",
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
        except Exception as error:
            code = _answer(error, arguments)
        if standalone_mode:
            sys.exit(code)
        return code

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands, by what they are for."""
        width = max(len(name) for name in self.commands)
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(str(made.name).ljust(width), _summary(made)) for made in commands])


def _summary(command: click.Command) -> str:
    return command.get_short_help_str(limit=200)


def _answer(error: Exception, arguments: list[str]) -> int:
    """Tell the user, and give the exit code. Flags are read off the line itself: it may not have been parsed."""
    flags = arguments[: arguments.index("--")] if "--" in arguments else arguments
    stopped: BaseException = error.__cause__ or error if isinstance(error, _Stopped) else error
    told = failure(stopped, arguments)
    if "--debug" in flags:
        show_traceback(stopped)
    for line in told.lines():
        click.echo(line, err=True)
    if "--json" in flags:
        click.echo(document(told.to_json()))
    return told.exit_code


@click.group(
    "retrainer",
    cls=Retrainer,
    epilog="\b\nExample:\n  retrainer init\n  retrainer import scaling decisions.jsonl\n  retrainer inspect scaling",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="retrainer", prog_name="retrainer", message="%(prog)s %(version)s")
def retrainer() -> None:
    """Turn decision logs into better policies, and promote only what the log can prove."""


for _commands in SECTIONS.values():
    for _command in _commands:
        retrainer.add_command(_command)
