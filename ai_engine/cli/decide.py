"""``gate``, ``promote``, ``rollback`` and the ledger: decisions about the champion."""

from __future__ import annotations

from functools import partial

import click

from ai_engine.cli.gate_shown import shown
from ai_engine.cli.options import Options, command, refuse
from ai_engine.cli.running import perform
from ai_engine.cli.track import track_option

DECISION_CODES = {"promote": 0, "keep": 3, "inconclusive": 4, "canary": 5, "refused": 6}
reason_option = click.option("--reason", help="Why; the ledger keeps it.")
needed_reason = click.option("--reason", required=True, help="Why; the ledger keeps it.")


@command("gate", "retrainer gate scaling --exit-status")
@click.argument("name")
@click.option(
    "--exit-status",
    is_flag=True,
    help="Exit with 0 for promote, 3 keep, 4 inconclusive, 5 canary, 6 refused.",
)
@click.option(
    "--placebo",
    type=click.IntRange(min=1),
    metavar="N",
    help="Judge nobody: repeat train, select and gate on N copies of the log in which nothing can be better.",
)
@click.option(
    "--least-power",
    type=click.FloatRange(0.0, 0.99),
    default=0.0,
    metavar="P",
    help="Spend no look that would show a gain as large as on select less often than this.",
)
def gate(options: Options, name: str, exit_status: bool, placebo: int | None, least_power: float) -> None:
    """Judge the finalists of the last sweep on decisions that no gate has read before."""
    if placebo is not None:
        where, busy = "ai_engine.self_test", f"placebo of {name}"
        tested = perform(options, "placebo", name, placebo, module=where, home=options.home, progress=True, busy=busy)
        if exit_status:
            click.get_current_context().exit(0 if tested.outcome.passed else DECISION_CODES["refused"])
        return
    present = partial(shown, home=options.home)
    result = perform(
        options, "gate", name, home=options.home, least_power=least_power, present=present, busy=f"judging {name}"
    )
    if exit_status:
        click.get_current_context().exit(DECISION_CODES.get(result.decision, 1))


@command("promote", "retrainer promote scaling@14")
@click.argument("reference", metavar="REF")
@click.option("--override", is_flag=True, help="Promote what no gate has passed; needs --reason.")
@reason_option
@track_option
def promote(
    options: Options, reference: str, override: bool, reason: str | None, track: tuple[str, ...] | None
) -> None:
    """Make a version the champion, if the gate has passed it."""
    if override and not (reason or "").strip():
        refuse("--override needs --reason TEXT; say why the gate's answer does not count")
    perform(options, "promote", reference, home=options.home, override=override, reason=reason, track=track)


@command("rollback", "retrainer rollback scaling --reason 'latency rose'")
@click.argument("name")
@click.option("--to", metavar="REF", help="The version to go back to; the previous champion by default.")
@reason_option
@track_option
def rollback(options: Options, name: str, to: str | None, reason: str | None, track: tuple[str, ...] | None) -> None:
    """Go back to an earlier champion, bar the present one and hold automation."""
    perform(options, "rollback", name, to=to, reason=reason, track=track, home=options.home)


@command("hold", "retrainer hold scaling --reason 'sale on Friday'")
@click.argument("name")
@needed_reason
def hold(options: Options, name: str, reason: str) -> None:
    """Keep every gate from moving the champion until release."""
    perform(options, "hold", name, reason=reason, home=options.home)


@command("release", "retrainer release scaling --reason 'the sale is over'")
@click.argument("name")
@needed_reason
def release(options: Options, name: str, reason: str) -> None:
    """Let gates move the champion again."""
    perform(options, "release", name, reason=reason, home=options.home)


@command("history", "retrainer history scaling")
@click.argument("name")
def history(options: Options, name: str) -> None:
    """List every decision about an agent's champion, oldest first."""
    perform(options, "history", name, module="ai_engine.cli.ledger", home=options.home)


@command("verify", "retrainer verify scaling")
@click.argument("name")
def verify(options: Options, name: str) -> None:
    """Check that an agent's ledger and artefacts are what was written."""
    perform(options, "verify", name, module="ai_engine.cli.ledger", home=options.home)


COMMANDS: tuple[click.Command, ...] = (gate, promote, rollback, hold, release, history, verify)
