"""``init``, ``doctor``, ``demo``: the first commands."""

from __future__ import annotations

import os

import click

from ai_engine.cli.options import Options, command
from ai_engine.cli.running import perform
from ai_engine.cli.values import Names, Whole


@command("init", "retrainer init --home ~/decisions")
def init(options: Options) -> None:
    """Create a home, the folder of declarations, data and models, or leave one as it is."""
    perform(options, "init", options.home or os.environ.get("RETRAINER_HOME") or ".")


@command("doctor", "retrainer doctor")
def doctor(options: Options) -> None:
    """Say what this machine and this home can do, and what is missing."""
    perform(options, "doctor", module="ai_engine.cli.diagnosis", home=options.home)


@command("demo", "retrainer demo --quick")
@click.option("--seed", type=Whole(0, 0), default=0, show_default=True, help="Decides everything that is random.")
@click.option("--quick", is_flag=True, help="Fewer decisions and variants.")
@click.option("--agents", type=Names(), help="Such as scaling,self-healing; all four by default.")
def demo(options: Options, seed: int, quick: bool, agents: tuple[str, ...] | None) -> None:
    """Run the whole chain for four simulated agents, then reveal the truth beside every estimate."""
    perform(options, "demo", home=options.home, seed=seed, quick=quick, agents=agents, busy="starting", progress=True)


COMMANDS: tuple[click.Command, ...] = (init, doctor, demo)
