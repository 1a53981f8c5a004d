"""``log``: where an agent's log is, and what may be done to it."""

from __future__ import annotations

import sys

import click

from ai_engine.cli.options import Options, command, refuse
from ai_engine.cli.running import perform
from ai_engine.cli.values import Duration

dry_run_option = click.option("--dry-run", is_flag=True, help="Change nothing; say what would be done.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group("log", epilog="\b\nExample:\n  retrainer log path scaling")
def log() -> None:
    """Find a log's table, exclude a range of it, forget a tenant, compact it."""


@command("path", "retrainer log path scaling", group=log)
@click.argument("name")
def path(options: Options, name: str) -> None:
    """Print where the table with an agent's sealed decisions is."""
    perform(options, "log_path", name, home=options.home)


@command("exclude", "retrainer log exclude scaling --from 2026-06-01T10:00:00Z --reason 'bad sensor'", group=log)
@click.argument("name")
@click.option("--from", "start", metavar="MOMENT", help="First moment of the range, or position of the log.")
@click.option("--to", "end", metavar="MOMENT", help="First moment after it, or position of the log.")
@click.option("--reason", help="Why; kept with the log.")
@click.option("--undo", "undone", is_flag=True, help="Use exactly this range again.")
@dry_run_option
def exclude(
    options: Options, name: str, start: str | None, end: str | None, reason: str | None, undone: bool, dry_run: bool
) -> None:
    """Leave the episodes of a range out of every dataset, until that is undone."""
    if not undone and not (reason or "").strip():
        refuse("--reason TEXT is needed; say what is wrong with the range")
    perform(
        options,
        "log_exclude",
        name,
        start=start,
        end=end,
        reason=reason,
        undone=undone,
        dry_run=dry_run,
        home=options.home,
        busy=f"reading the log of {name}",
    )


@command("forget", "retrainer log forget --tenant acme --dry-run", group=log)
@click.option("--tenant", required=True, help="Whose decisions are to be removed, of all agents.")
@dry_run_option
@yes_option
def forget(options: Options, tenant: str, dry_run: bool, yes: bool) -> None:
    """Remove a tenant's decisions for good, from the table's old versions too."""
    _confirm(f"Remove all decisions of tenant {tenant} for good?", dry_run or yes)
    perform(options, "log_forget", tenant, dry_run=dry_run, home=options.home, busy=f"forgetting {tenant}")


@command("compact", "retrainer log compact --yes", group=log)
@click.option(
    "--older-than",
    type=Duration(),
    default="7d",
    show_default=True,
    help="Remove files that have been unused for so long; no version that a run or a ledger names needs them.",
)
@dry_run_option
@yes_option
def compact(options: Options, older_than: float, dry_run: bool, yes: bool) -> None:
    """Seal the journal, merge the table's small files and remove unused ones."""
    _confirm("Merge the table's files and remove those that nothing names?", dry_run or yes)
    perform(options, "log_compact", older_than=older_than, dry_run=dry_run, home=options.home, busy="compacting")


def _confirm(question: str, sure: bool) -> None:
    """Ask a person; a script has to say ``--yes``."""
    if sure:
        return
    if not sys.stdin.isatty():
        refuse("it removes what cannot be brought back; add --yes, or see --dry-run")
    click.confirm(question, abort=True, err=True)
