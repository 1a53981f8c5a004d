"""``export``: an agent's log for other tools."""

from __future__ import annotations

import click

from ai_engine.cli.options import Options, command
from ai_engine.cli.running import perform


@command("export", "retrainer export scaling --format parquet scaling.parquet")
@click.argument("name")
@click.argument("to", metavar="TO")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["parquet", "minari"]),
    default="parquet",
    show_default=True,
    help="A Parquet file of every decision, or a folder with the ended episodes as a Minari data set.",
)
def export(options: Options, name: str, to: str, format_name: str) -> None:
    """Write an agent's decisions to a file that other tools read, and import can read again."""
    perform(options, "export", name, to, format=format_name, home=options.home, busy=f"exporting {name}")
