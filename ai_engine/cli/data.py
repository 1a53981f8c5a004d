"""``import``, ``inspect`` and ``log``: logs, what they can prove, and what is done to them."""

from __future__ import annotations

import click

from ai_engine.cli.log import log
from ai_engine.cli.options import Options, command
from ai_engine.cli.running import perform


@command("import", "retrainer import scaling monday.jsonl tuesday.parquet --dry-run")
@click.argument("name")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--dry-run", is_flag=True, help="Write nothing; group the errors and print a mapping to paste.")
@click.option("--keep-good", is_flag=True, help="Import the good rows and list the bad ones in a file.")
@click.option(
    "--unknown",
    type=click.Choice(["error", "metadata"]),
    default="error",
    show_default=True,
    help="Refuse fields that a record does not have, or keep them as metadata that nothing learns from.",
)
def import_(options: Options, name: str, files: tuple[str, ...], dry_run: bool, keep_good: bool, unknown: str) -> None:
    """Read decision records of an agent from JSON Lines and Parquet files into its log."""
    from ai_engine.cli.imported import presentable

    perform(
        options,
        "import_log",
        name,
        list(files),
        home=options.home,
        dry_run=dry_run,
        keep_good=keep_good,
        unknown=unknown,
        present=presentable,
        busy="reading",
    )


@command("inspect", "retrainer inspect scaling")
@click.argument("name")
def inspect(options: Options, name: str) -> None:
    """Grade an agent's log by what it can prove, with the remedy for each finding."""
    perform(options, "inspect", name, home=options.home, busy="inspecting")


COMMANDS: tuple[click.Command, ...] = (import_, inspect, log)
