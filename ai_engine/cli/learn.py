"""``train``, ``tune``, ``evaluate``, ``compare``: policies, and what the log says of them."""

from __future__ import annotations

from pathlib import Path

import click

from ai_engine.cli.markdown import Markdown
from ai_engine.cli.options import Options, command, refuse
from ai_engine.cli.pairs import Amount, Tag, collected
from ai_engine.cli.running import perform
from ai_engine.cli.runs import runs
from ai_engine.cli.track import track_option, tracking
from ai_engine.cli.values import Duration, Moment, Names, Setting, Share, Value, Whole

SEARCHES, SCHEDULERS = ("random", "tpe"), ("none", "asha", "pbt")
seed_option = click.option("--seed", type=Whole(0, 0), default=0, show_default=True, help="Decides what is random.")
refit_option = click.option(
    "--refit-all", is_flag=True, help="Learn from all rows; such a version can never pass the gate."
)
tag_option = click.option("--tag", "tags", type=Tag(), multiple=True, help="To find the run by; may be repeated.")


@command("train", "retrainer train scaling --algorithm tabular_q --set resolution=8 --step 0.25")
@click.argument("name")
@click.option("--algorithm", help="Such as tabular_q or ppo; by default the one that is tried first for the agent.")
@click.option("--set", "settings", type=Setting(), multiple=True, help="A hyperparameter; may be repeated.")
@click.option("--step", type=Share(0.25, one=True), help="How far to go from the champion to what is learned.  [1]")
@seed_option
@click.option("--until", type=Moment(), help="Learn from episodes that began before this time.")
@click.option("--fields", type=Names(), help="Fields of the observation to learn from; all by default.")
@refit_option
@tag_option
@track_option
def train(
    options: Options,
    name: str,
    algorithm: str | None,
    settings: tuple[tuple[str, Value], ...],
    step: float | None,
    seed: int,
    until: str | None,
    fields: tuple[str, ...] | None,
    refit_all: bool,
    tags: tuple[tuple[str, str], ...],
    track: tuple[str, ...] | None,
) -> None:
    """Train one algorithm on an agent's log and keep the result as a version."""
    perform(
        options,
        "train",
        name,
        home=options.home,
        algorithm=algorithm,
        hyperparameters=_hyperparameters(settings, fields),
        step=step,
        seed=seed,
        until=until,
        refit_all=refit_all,
        tags=collected(tags),
        track=track,
        busy=f"training {name}",
    )


@command("tune", "retrainer tune scaling --trials 16 --time-budget 4m")
@click.argument("name")
@click.option("--trials", type=Whole(1, 16), help="How many variants; 16 where no time budget is given, 8 with pbt.")
@click.option("--time-budget", type=Duration(), help="How long in all, such as 90s, 4m or 2h.")
@click.option("--algorithms", type=Names(), help="Such as dqn,ppo; all that fit the agent by default.")
@click.option("--space", metavar="FILE", help="A Python file of yours that defines SPACE; it is run.")
@click.option("--search", type=click.Choice(SEARCHES), help="Draw at random or where it went well.  [random]")
@click.option("--scheduler", type=click.Choice(SCHEDULERS), help="End weak trials, or breed good ones.  [none]")
@click.option("--seeds", type=Whole(1, 3), help="Seeds of each variant, which its mean over them ranks.  [1]")
@seed_option
@refit_option
@click.option("--resources", type=Amount(), multiple=True, help="What a trial takes; may be repeated.  [CPU=1]")
@tag_option
@track_option
def tune(
    options: Options,
    name: str,
    trials: int | None,
    time_budget: float | None,
    algorithms: tuple[str, ...] | None,
    space: str | None,
    search: str | None,
    scheduler: str | None,
    seeds: int | None,
    seed: int,
    refit_all: bool,
    resources: tuple[tuple[str, float], ...],
    tags: tuple[tuple[str, str], ...],
    track: tuple[str, ...] | None,
) -> None:
    """Try variants on an agent's log; recommend one and name the finalists for the gate."""
    perform(
        options,
        "tune",
        name,
        home=options.home,
        trials=trials,
        time_budget=time_budget,
        algorithms=algorithms,
        space=space,
        search=search,
        scheduler=scheduler,
        seeds=seeds,
        seed=seed,
        refit_all=refit_all,
        resources=collected(resources),
        tags=collected(tags),
        track=track,
        started=click.get_current_context().find_root().obj,  # the budget is that of the whole command
        busy=f"tuning {name}",
        progress=True,
    )


@command("evaluate", "retrainer evaluate scaling@champion --on scaling")
@click.argument("reference", metavar="REF")
@click.option("--on", required=True, metavar="NAME", help="The agent whose log is the evidence.")
@click.option("--force", is_flag=True, help="Print an interval that cannot be trusted, marked unusable.")
@click.option("--confidence", type=Share(0.95, one=False), help="Of the interval.  [0.95]")
def evaluate(options: Options, reference: str, on: str, force: bool, confidence: float | None) -> None:
    """Estimate what a policy would earn, from the log of another."""
    perform(
        options,
        "evaluate",
        reference,
        on=on,
        home=options.home,
        force=force,
        confidence=confidence,
        busy=f"evaluating {reference}",
    )


@command("compare", "retrainer compare scaling@champion scaling@14 --html comparison.html")
@click.argument("references", metavar="REF REF...", nargs=-1, required=True)
@click.option("--against", metavar="REF", help="Whom the gains are taken against; the champion by default.")
@click.option("--on", metavar="NAME", help="The agent whose log is the evidence, where no reference names it.")
@click.option("--reward", metavar="EXPR", help="Another reward over outcome, such as '-cost - 5 * dropped'.")
@click.option("--html", metavar="FILE", help="Write the comparison there as one self-contained page.")
@click.option("--md", is_flag=True, help="Print Markdown.")
def compare(
    options: Options,
    references: tuple[str, ...],
    against: str | None,
    on: str | None,
    reward: str | None,
    html: str | None,
    md: bool,
) -> None:
    """Compare policies of one agent, side by side on the same log."""
    if len(references) < 2 and against is None:
        refuse("one policy cannot be compared; name a second, such as NAME@champion")
    if md and options.as_json:
        refuse("--md and --json are two forms of one output; leave one of them out")
    perform(
        options,
        "compare",
        *references,
        home=options.home,
        against=against,
        on=on,
        reward=reward,
        html=html,
        busy="comparing",
        present=Markdown if md else None,
    )
    if html is not None:
        click.echo(f"page: {Path(html).absolute()}", err=True)  # standard output is the comparison alone


def _hyperparameters(
    settings: tuple[tuple[str, Value], ...], fields: tuple[str, ...] | None
) -> dict[str, Value] | None:
    """All settings by name, ``None`` where there are none."""
    given: list[tuple[str, Value]] = [*settings, *([("fields", fields)] if fields else [])]
    found: dict[str, Value] = {}
    for name, value in given:
        if name in found:
            refuse(f"{name} is set twice; leave one of them out")
        found[name] = value
    return found or None


COMMANDS: tuple[click.Command, ...] = (train, tune, evaluate, compare, runs, tracking)
