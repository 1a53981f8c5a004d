"""``runs``: what is running, what ran, and what can go on."""

from __future__ import annotations

import click

from ai_engine.cli.options import Options, command
from ai_engine.cli.pairs import Tag, collected
from ai_engine.cli.running import perform
from ai_engine.cli.track import track_option
from ai_engine.cli.values import Whole


@click.group("runs", epilog="\b\nExample:\n  retrainer runs list")
def runs() -> None:
    """List, show, resume and stop runs."""


@command("list", "retrainer runs list", group=runs)
@click.option("--tag", "tags", type=Tag(), multiple=True, help="Only runs with this tag; may be repeated.")
def list_(options: Options, tags: tuple[tuple[str, str], ...]) -> None:
    """List the runs of a home, oldest first."""
    perform(options, "runs_list", home=options.home, tags=collected(tags))


@command("show", "retrainer runs show scaling-20260131-120000-ab12", group=runs)
@click.argument("run")
def show(options: Options, run: str) -> None:
    """Show one run and its result."""
    from ai_engine.cli.run_shown import shown

    perform(options, "runs_show", run, home=options.home, present=shown)


@command("resume", "retrainer runs resume scaling-20260131-120000-ab12", group=runs)
@click.argument("run")
@click.option("--add", type=Whole(1, 8), help="Try so many further variants in a run that has finished.")
@track_option
def resume(options: Options, run: str, add: int | None, track: tuple[str, ...] | None) -> None:
    """Finish an interrupted run without repeating what it has finished."""
    perform(options, "runs_resume", run, home=options.home, add=add, track=track, busy=f"resuming {run}", progress=True)


@command("stop", "retrainer runs stop scaling-20260131-120000-ab12", group=runs)
@click.argument("run")
def stop(options: Options, run: str) -> None:
    """Interrupt a run; what it has finished is kept and can be resumed."""
    perform(options, "runs_stop", run, home=options.home)
