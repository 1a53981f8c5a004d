"""``gate``, ``promote``, ``rollback``: decisions about the champion, each an entry in the ledger."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ai_engine.deploy.ledger import LedgerEntry
from ai_engine.deploy.references import parse_reference
from ai_engine.deploy.registry import Registry
from ai_engine.gate_result import GateResult, decision_details
from ai_engine.gating import Answer, Question, ask
from ai_engine.locking import retraining_lock
from ai_engine.provisos import without_exploration
from ai_engine.reporting import write_run_report
from ai_engine.runs import FINISHED, Run, list_runs
from ai_engine.self_test import forbidden_by, kept_placebo
from ai_engine.tracking.following import follow
from ai_engine.tune_result import TuneResult
from ai_engine.workspace import Workspace, open_workspace
from algorithms.policy.provenance import plain_json
from envs.errors import DataError, RegistryError
from envs.home import Home

MOVES_NOBODY = ("gate", "hold", "release")
LIVE_TEST = "only where a person answers for a live test"


@dataclass(frozen=True, slots=True)
class LedgerMove:
    """An entry that was written to the ledger.

    Attributes:
        agent: whose ledger.
        entry: the entry.
        warning: what follows for the next log, a sentence after a space, or empty.
    """

    agent: str
    entry: LedgerEntry
    warning: str = ""

    def to_json(self) -> dict[str, Any]:
        """One document."""
        plain: dict[str, Any] = plain_json(
            {
                "schema_version": 1,
                "agent": self.agent,
                "number": self.entry.number,
                "kind": self.entry.kind,
                "champion": f"{self.agent}@{self.entry.version}",
                "reason": self.entry.reason,
                "warning": self.warning.strip(),
            }
        )
        return plain

    def to_text(self) -> str:
        """One sentence; of a rollback another, what is barred and held from now on."""
        why = f" ({self.entry.reason})" if self.entry.reason else ""
        entry, champion = self.entry, f"{self.agent}@{self.entry.version}"
        moved = f"Ledger entry {entry.number}, {entry.kind}: the champion is {champion}{why}.{self.warning}"
        if entry.kind != "rollback":
            return moved
        barred = " and ".join(f"{self.agent}@{version}" for version in entry.details["barred"])
        held = f"automation is held until retrainer release {self.agent} --reason TEXT"
        return f"{moved}\n{f'{barred} is barred, and {held}' if barred else held.capitalize()}."


def gate(name: str, *, home: Home | str | Path | None = None, least_power: float = 0.0) -> GateResult:
    """Judge the finalists of the last sweep on final units that no gate has read, and write the answer down.

    Args:
        name: the agent.
        home: its home.
        least_power: the answer is ``refused``, and no look is spent, where a gain as large as on ``select`` would
            be shown less often than this; 0 spends the look as soon as the overlap allows one.

    Raises:
        DataError: there is no sweep against the present champion, or nothing can be learned from the log.
        BusyError: the agent is being retrained.
    """
    workspace = open_workspace(name, home)
    known = name in workspace.registry.agents()
    _last_sweep(workspace, workspace.registry.champion(name) if known else "0")  # before anything is written
    with retraining_lock(workspace.home, name):
        champion = workspace.champion()
        run, tuned = _last_sweep(workspace, champion.version)
        versions = _finalists(workspace, tuned)
        forbidden = forbidden_by(kept_placebo(workspace.home, workspace.specification))
        since = int(run.record.get("since", 0))
        answer = ask(workspace, Question(champion, versions, tuned, since, forbidden, least_power))
        result = _record(workspace, champion.version, tuned, versions, answer)
        told = result if result.look else _standing_answer(workspace, run) or result
        run.write("gate.json", told.to_json())
        write_run_report(
            workspace,
            run.path,
            tuned,
            told,
            seed=int(run.record["request"]["seed"]),
            created=str(run.record["created"]),
            command=next_command(told, home),
        )
    follow(workspace.home, name)
    return result


def next_command(result: GateResult, home: Home | str | Path | None = None) -> str:
    """What is run after a gate's answer, with the home where it was named."""
    command, note = f"retrainer gate {result.agent}", ""
    if result.decision == "promote":
        command = (
            f"retrainer release {result.agent} --reason TEXT" if result.held else f"retrainer promote {result.agent}"
        )
    elif result.decision == "canary":
        command, note = f"retrainer promote {result.version} --override --reason TEXT", f"  # {LIVE_TEST}"
    if home is not None:
        command += f" --home {shlex.quote(str(home.path if isinstance(home, Home) else home))}"
    return command + note


def _standing_answer(workspace: Workspace, run: Run) -> GateResult | None:
    """The kept answer of a run, where it spent a look and no move of the champion has overtaken it."""
    kept, entries = run.read("gate.json"), workspace.registry.history(workspace.name)
    if not kept or not kept["look"]:
        return None
    answered, *later = entries[kept["entry"] - 1 :]
    return GateResult.of(answered) if all(entry.kind in MOVES_NOBODY for entry in later) else None


def _finalists(workspace: Workspace, tuned: TuneResult) -> list[str]:
    """The finalists that may be promoted; a version that was rolled back takes no share of α."""
    versions = [reference.rpartition("@")[2] for reference in tuned.finalists]
    barred = workspace.registry.barred(workspace.name)
    if versions and barred.issuperset(versions):
        raise DataError(
            f"every finalist of run {tuned.run}, the last sweep against the champion {tuned.champion},"
            " was rolled back and is barred",
            where=f"agent {workspace.name}",
            remedy=f"run retrainer tune {workspace.name}",
        )
    return [version for version in versions if version not in barred]


def _last_sweep(workspace: Workspace, champion: str) -> tuple[Run, TuneResult]:
    for run in reversed(list_runs(workspace.home, workspace.name)):
        if run.record["kind"] == "tune" and run.status == FINISHED and run.record["champion"] == champion:
            return run, TuneResult.from_json(run.read("result.json"))
    workspace.learnable()  # what is wrong with a log on which tune would refuse is said first
    raise DataError(
        f"no sweep against the champion {champion}",
        where=f"agent {workspace.name}",
        remedy=f"run retrainer tune {workspace.name}",
    )


def _record(
    workspace: Workspace,
    champion: str,
    tuned: TuneResult,
    versions: list[str],
    answer: Answer,
) -> GateResult:
    name, registry, decision = workspace.name, workspace.registry, answer.decision
    if decision.subject is not None:
        candidate = versions[decision.subject]
    elif not versions or decision.decision == "canary":  # only a model speaks, and it speaks of the recommendation
        candidate = tuned.recommended.rpartition("@")[2]
    else:
        candidate = versions[0]
    look, shares = (decision.look if decision.alpha > 0 else 0), answer.certain_shares
    held = registry.held(name) and decision.decision == "promote"
    reason = f"{decision.reason}; automation is held, release it to promote" if held else decision.reason
    entry = registry.record_gate(
        name,
        decision=decision.decision,
        candidate=candidate,
        champion=champion,
        look=look or None,
        alpha=decision.alpha,
        final_sequence=answer.final_sequence if look else registry.looks(name).final_sequence,
        reason=reason,
        details={
            "run": tuned.run,
            "held": held,
            "certain_share": shares[decision.subject] if shares and decision.subject is not None else 0.0,
            "finalist": candidate in versions,
            "units": answer.units if look else 0,
            "looks": decision.look - (0 if look else 1),
            **decision_details(decision),
        },
    )
    return GateResult.of(entry)


def promote(
    reference: str,
    *,
    home: Home | str | Path | None = None,
    override: bool = False,
    reason: str = "",
    track: Sequence[str] | None = None,
) -> LedgerMove:
    """Make a version champion: one that a gate passed, or any when a person overrides.

    Without a version it is that of the last gate which spent a look: one that could read nothing takes nothing back
    of what one before it has shown.

    Trackers (``track``; by default those that the environment or the home names) follow it and never stop it.

    Raises:
        RegistryError: no gate passed it, it is the champion or barred, automation is held, or a reason is missing.
    """
    found = Home.find(home)
    registry, parsed = Registry(found), parse_reference(reference)
    if parsed.path is not None:
        raise RegistryError("a file is no version", where=str(parsed.path), remedy="name it NAME@N")
    version = parsed.version
    gates = [entry for entry in registry.history(parsed.agent) if entry.kind == "gate"]
    if override:
        return _appointed(found, registry.override(parsed.agent, version, reason), gates, track)
    if "@" not in reference and gates:
        version = str(_last_read(gates).details["candidate"])
    version = registry.resolve(parsed.agent, version)
    if version == registry.champion(parsed.agent):
        raise RegistryError(
            f"version {version} is the champion already",
            where=f"agent {parsed.agent}",
            remedy=f"run retrainer gate {parsed.agent}, which judges others against it",
        )
    judged = [entry for entry in gates if entry.details["candidate"] == version]
    if not judged:
        raise RegistryError(
            f"no gate has judged version {version}",
            where=f"agent {parsed.agent}",
            remedy=f"run retrainer gate {parsed.agent}, or promote it with --override --reason TEXT",
        )
    entry = registry.promote(parsed.agent, version, gate_entry=_last_read(judged), reason=reason)
    return _appointed(found, entry, gates, track)


def _appointed(home: Home, entry: LedgerEntry, gates: Sequence[LedgerEntry], track: Sequence[str] | None) -> LedgerMove:
    """The move, and what the gate saw of how the new champion decides, where it judged it."""
    move, agent = _moved(home, entry, track), entry.agent
    judged = [gate for gate in gates if gate.details["candidate"] == entry.version]
    share = _last_read(judged).details.get("certain_share", 0.0) if judged else 0.0
    return replace(move, warning=without_exploration(agent, f"{agent}@{entry.version}", share, promoted=True))


def _last_read(gates: Sequence[LedgerEntry]) -> LedgerEntry:
    """The last gate that spent a look; the last one where none did."""
    return ([entry for entry in gates if entry.details["look"] is not None] or gates)[-1]


def rollback(
    name: str,
    *,
    to: str | None = None,
    reason: str = "",
    home: Home | str | Path | None = None,
    track: Sequence[str] | None = None,
) -> LedgerMove:
    """Go back to the previous champion or to a reference; bars the present one and holds automation.

    Trackers follow it as they follow :func:`promote`.
    """
    target = to
    if to and "@" in to:
        parsed = parse_reference(to)
        if parsed.agent != name:
            raise RegistryError(f"{to} is no version of {name}", where=f"agent {name}", remedy=f"name {name}@N")
        target = parsed.version
    found = Home.find(home)
    return _moved(found, Registry(found).rollback(name, target, reason), track)


def _moved(home: Home, entry: LedgerEntry, track: Sequence[str] | None) -> LedgerMove:
    """The move of a champion, which is done; trackers are told of it."""
    follow(home, entry.agent, track)
    return LedgerMove(entry.agent, entry)


def hold(name: str, *, reason: str, home: Home | str | Path | None = None) -> LedgerMove:
    """Stop gates from promoting until :func:`release`."""
    return LedgerMove(name, Registry(Home.find(home)).hold(name, reason))


def release(name: str, *, reason: str = "", home: Home | str | Path | None = None) -> LedgerMove:
    """Let gates promote again."""
    return LedgerMove(name, Registry(Home.find(home)).release(name, reason))
