"""``track``: runs and champions in MLflow and TensorBoard."""

from __future__ import annotations

from typing import Any

import click

from ai_engine.cli.options import Options, command
from ai_engine.cli.running import perform
from ai_engine.cli.values import Names


class Trackers(Names):
    """Names of trackers, checked before anything is done: afterwards a wrong one could only be warned of."""

    name = "trackers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names."""
        from ai_engine.tracking.settings import known_trackers
        from envs.errors import SpecificationError

        names = super().convert(value, param, ctx)
        try:
            known_trackers(names, "--track")
        except SpecificationError as error:
            self.fail(f"{error.problem}; {error.remedy}", param, ctx)
        return names


track_option = click.option(
    "--track", type=Trackers(), help="Where to track it: mlflow, tensorboard, both with a comma, or none."
)


@click.group("track", epilog="\b\nExample:\n  retrainer track sync --track mlflow")
def tracking() -> None:
    """Show runs and champions in MLflow and TensorBoard."""


@command("sync", "retrainer track sync scaling --track mlflow", group=tracking)
@click.argument("names", metavar="[NAME...]", nargs=-1)
@track_option
def sync(options: Options, names: tuple[str, ...], track: tuple[str, ...] | None) -> None:
    """Tell the trackers what they do not know yet of an agent, or of all."""
    perform(options, "track_sync", names or None, home=options.home, track=track, busy="tracking")
