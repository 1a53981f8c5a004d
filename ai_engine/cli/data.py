"""``import``, ``inspect`` and ``log``: logs, what they can prove, and what is done to them."""

from __future__ import annotations

import click

from ai_engine.cli.export import export
from ai_engine.cli.log import log
from ai_engine.cli.options import Options, command
from ai_engine.cli.running import perform


@command("import", "retrainer import scaling monday.jsonl tuesday.parquet --dry-run")
@click.argument("name")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--format", "format_name", help="Of the sources, such as csv, minari or prometheus; else found out.")
@click.option("--option", "given", multiple=True, metavar="NAME=VALUE", help="Of the format; may be repeated.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Write nothing; group the errors and print a mapping to paste; exit with 1 where the import would be refused.",
)
@click.option("--keep-good", is_flag=True, help="Import the good rows and list the bad ones in a file.")
@click.option(
    "--unknown",
    type=click.Choice(["error", "metadata"]),
    default="error",
    show_default=True,
    help="Refuse fields that a record does not have, or keep them as metadata that nothing learns from.",
)
def import_(
    options: Options,
    name: str,
    files: tuple[str, ...],
    format_name: str | None,
    given: tuple[str, ...],
    dry_run: bool,
    keep_good: bool,
    unknown: str,
) -> None:
    """Read decision records of an agent from files, patterns, s3:// addresses or other sources into its log."""
    report = perform(
        options,
        "import_log",
        name,
        list(files),
        home=options.home,
        dry_run=dry_run,
        keep_good=keep_good,
        unknown=unknown,
        format=format_name,
        format_options=_named(given),
        progress=not options.as_json,
        busy="reading",
    )
    if report.refused:
        click.get_current_context().exit(1)


def _named(given: tuple[str, ...]) -> dict[str, str] | None:
    """Options of a format by name; ``None`` where none was given."""
    for text in given:
        if not text.partition("=")[1]:
            raise click.BadParameter(f"{text!r} is no NAME=VALUE", param_hint="--option")
    return {name: value for name, _, value in (text.partition("=") for text in given)} or None


@command("inspect", "retrainer inspect scaling")
@click.argument("name")
@click.option("--page", type=click.Path(dir_okay=False), help="Where to write the page; reports/NAME-data.html if not.")
@click.option("--no-page", is_flag=True, help="Write no page.")
def inspect(options: Options, name: str, page: str | None, no_page: bool) -> None:
    """Grade an agent's log by what it can prove, with the remedy for each finding; also as a page with plots."""
    perform(options, "inspect", name, home=options.home, page=False if no_page else page, busy="inspecting")


COMMANDS: tuple[click.Command, ...] = (import_, inspect, export, log)
