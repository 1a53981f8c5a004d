"""``gate NAME --placebo N``: does the gate keep its error rate on this agent's own log?

The result is kept beside the runs. Reports show it, and one that failed forbids every gate of the
agent until its declaration changes or a later self-test passes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ai_engine.reports import ReportDocument, write_report
from ai_engine.runs import list_runs
from ai_engine.text import table
from ai_engine.workspace import open_workspace
from algorithms.on_log import probabilities_on
from algorithms.policy.provenance import plain_json
from envs.counting import counted
from envs.declaration import specification_hash
from envs.errors import DataError
from envs.home import Home
from envs.specification import AgentSpecification
from envs.storage import LocalStorage
from tune_configs.gate.decision import PROMOTABLE
from tune_configs.gate.placebo import PlaceboOutcome, run_placebo
from tune_configs.trial import unlogged_behavior

COPIES = 200
KEPT_DOCUMENT = "report.json"
"""What the report of a run says, beside it."""


@dataclass(frozen=True, slots=True)
class PlaceboResult:
    """A finished self-test.

    Attributes:
        agent: the agent.
        outcome: what the permuted copies showed.
        decisions: decisions of the log that was permuted.
        units: what was permuted: ``episode``, ``day`` or ``tenant``.
        champion: whom the copies' variants stepped away from, ``agent@N``.
        seed: of the permutations.
        created: RFC 3339.
        specification: hash of the declaration that it holds for.
    """

    agent: str
    outcome: PlaceboOutcome
    decisions: int
    units: str
    champion: str
    seed: int
    created: str
    specification: str

    def to_json(self) -> dict[str, Any]:
        """One document."""
        outcome = self.outcome
        figures = {
            "share": outcome.share,
            "interval": list(outcome.interval),
            "p_value": outcome.p_value,
            "passed": outcome.passed,
        }
        document = {name: getattr(self, name) for name in self.__slots__}
        plain: dict[str, Any] = plain_json(
            {"schema_version": 1, **document, "outcome": {**asdict(outcome), **figures}, "text": told(outcome)}
        )
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PlaceboResult:
        """The inverse of :meth:`to_json`."""
        kept = data["outcome"]
        outcome = PlaceboOutcome(**{name: kept[name] for name in PlaceboOutcome.__slots__})
        return cls(**{**{name: data[name] for name in cls.__slots__}, "outcome": outcome})

    def to_text(self) -> str:
        """The figures and one sentence."""
        given = ", ".join(f"{decision} {count}" for decision, count in sorted(self.outcome.decisions.items()))
        rows = [
            ("log", f"{counted(self.decisions, 'decision')}, outcomes permuted between {self.units}s"),
            ("copies", f"{self.outcome.copies}: {given}"),
            ("promoted", told(self.outcome)),
        ]
        return f"{table((), rows)}\n{self._verdict()}; no α was spent and no outcome of final was read."

    def _verdict(self) -> str:
        outcome, needed = self.outcome, self.outcome.telling_copies
        if not outcome.passed:
            return f"The gate does not keep its error rate on this log and refuses to judge {self.agent}"
        if outcome.copies >= needed:
            return "The gate keeps its error rate on this log"
        few = counted(outcome.copies, "copy is", "copies are")
        return (
            f"{few} too few to tell whether the gate keeps its error rate on this log, though nothing speaks against "
            f"it: {needed:,} or more tell, for 0 of so many bring the interval down to {100 * outcome.nominal:.2g} %"
        )


def placebo(
    name: str,
    copies: int = COPIES,
    *,
    home: Home | str | Path | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> PlaceboResult:
    """Repeat train, select and gate on copies of an agent's log in which nothing can be better, and keep the result.

    Args:
        name: the agent.
        copies: how many; 200 tell a rate of 8 % from one of 3 %.
        home: the home.
        seed: of the permutations.
        progress: told one line after each copy.

    Raises:
        DataError: the log is of a grade on which no gate promotes, or a failed self-test of more copies is kept.
    """
    workspace = open_workspace(name, home)
    before = kept_placebo(workspace.home, workspace.specification)
    if before and not before.outcome.passed and copies < before.outcome.copies:
        raise DataError(
            f"a self-test of {before.outcome.copies} copies failed, {copies} cannot undo it",
            where=f"agent {name}",
            remedy=f"run it with {before.outcome.copies} copies or more",
        )
    grade = workspace.card().grade
    if grade not in PROMOTABLE:
        raise DataError(
            f"the log is grade {grade}, on which nothing is promoted: there is no error rate to test",
            where=f"agent {name}",
            remedy=f"see retrainer inspect {name}",
        )
    champion = workspace.champion()
    dataset, (probabilities,) = workspace.with_known_ends(champion)
    outcome = run_placebo(
        dataset,
        probabilities,
        probabilities_on(workspace.dataset, champion, floor=False),
        copies=copies,
        grade=grade,
        look=workspace.registry.looks(name).count + 1,
        behavior=unlogged_behavior(dataset),
        seed=seed,
        progress=(lambda done: progress(f"placebo copies {done} of {copies}")) if progress else None,
    )
    result = PlaceboResult(
        agent=name,
        outcome=outcome,
        decisions=len(dataset),
        units=workspace.specification.unit,
        champion=f"{name}@{champion.version}",
        seed=seed,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        specification=specification_hash(workspace.specification),
    )
    content = json.dumps(result.to_json(), indent=1).encode()
    LocalStorage(workspace.home.runs_path).replace(_key(name), content)
    _show(workspace.home, result)
    return result


def placebo_section(name: str, result: PlaceboResult | None) -> dict[str, Any]:
    """What a report says of the self-test of an agent's gate: its result, or only the command that runs it."""
    return {"command": command(name), **(result.to_json() if result else {})}


def _show(home: Home, result: PlaceboResult) -> None:
    """Let the report of the agent's last run say it; all else on the page stays as it was written."""
    for run in reversed(list_runs(home, result.agent)):
        if document := run.read(KEPT_DOCUMENT):
            shown = ReportDocument.from_json({**document, "placebo": placebo_section(result.agent, result)})
            write_report(shown, run.path / "report.html")
            run.write(KEPT_DOCUMENT, shown.to_json())
            return


def kept_placebo(home: Home, specification: AgentSpecification) -> PlaceboResult | None:
    """The last self-test under this very declaration, or ``None``."""
    path = home.runs_path / _key(specification.name)
    if not path.exists():
        return None
    try:
        found = PlaceboResult.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError):
        remedy = f"run {command(specification.name)} again"
        raise DataError("the kept self-test cannot be read", where=str(path), remedy=remedy) from None
    return found if found.specification == specification_hash(specification) else None


def forbidden_by(result: PlaceboResult | None) -> str:
    """Why a failed self-test forbids the gate, or empty."""
    if result is None or result.outcome.passed:
        return ""
    return (
        f"the self-test failed: {told(result.outcome)}; declare what the log lacks (a longer unit, a worst_class, more "
        f"exploration) and run {command(result.agent)} again"
    )


def told(outcome: PlaceboOutcome) -> str:
    """The share in words."""
    low, high = outcome.interval
    return (
        f"{outcome.promoted} of {outcome.copies} placebo copies would have been promoted, {100 * outcome.share:.1f} % "
        f"[{100 * low:.1f}, {100 * high:.1f}], nominal {100 * outcome.nominal:.2g} %; a finalist was tested in "
        f"{outcome.tested}"
    )


def command(name: str) -> str:
    """How the self-test is run."""
    return f"retrainer gate {name} --placebo {COPIES}"


def _key(name: str) -> str:
    return f"{name}-placebo.json"
