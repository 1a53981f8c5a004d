"""Whether an agent's log is enough to learn from, and what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ai_engine.continuous_learning.collector import DataCollector
from ai_engine.runs import FINISHED, INTERRUPTED, Run, list_runs
from envs.build_report import BuildReport
from envs.card import build_card
from envs.counting import counted
from envs.dataset import FINAL, SELECT, TRAIN, Dataset
from envs.home import Home
from envs.journal.journal import Journal
from envs.log.assembly import assemble
from envs.log.evolution import first_position
from envs.specification import AgentSpecification


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer to "is this agent ready?"; true where it is.

    Attributes:
        agent: the agent.
        ready: whether it is worth retraining now.
        sufficient: whether the log can be learned from; ready is that and something new.
        reasons: one sentence for each thing that is missing, or what there is where nothing is.
        decisions: in closed episodes.
        episodes: closed episodes.
        grade: of the log, empty where there is none to grade.
        dataset: identifier of its dataset, empty where there is none.
    """

    agent: str
    ready: bool
    sufficient: bool
    reasons: tuple[str, ...]
    decisions: int = 0
    episodes: int = 0
    grade: str = ""
    dataset: str = ""

    def __bool__(self) -> bool:
        return self.ready

    def to_json(self) -> dict[str, Any]:
        """One document."""
        return {"schema_version": 1, **asdict(self), "reasons": list(self.reasons)}

    def to_text(self) -> str:
        """One sentence."""
        return f"{self.agent} is {'ready' if self.ready else 'not ready'}: {'; '.join(self.reasons)}."


def readiness(home: Home, agent: str) -> Readiness:
    """Judge the dataset that training would get, without declaring or training anything.

    An agent that is not declared is judged by the draft that its log suggests.

    Raises:
        RetrainerError: its declaration or its records are damaged.
    """
    journal = Journal(home.journal_path)
    if not journal.counts().get(agent, 0):
        return Readiness(agent, False, False, ("has no records",))
    specification, rule = _declared(home, agent)
    none = Readiness(agent, False, False, (f"has no records of version {specification.version} of its declaration",))
    if first_position(home.data_path, journal, specification) is None:
        return none
    dataset, report = assemble(home, specification, rule=rule)
    if not report.records:
        return none
    reasons = _shortages(specification, dataset, report)
    grade = ""
    if not reasons:
        card = build_card(dataset, report)
        grade = card.grade
        if grade == "D":
            reasons = [f"{item.sentence} ({item.remedy})" for item in card.findings if item.severity == "error"]
        reasons = reasons or _missing_splits(dataset)
    sufficient = not reasons
    decisions, episodes, identifier = len(dataset), dataset.episode_count, dataset.identifier
    last = last_sweep(home, agent)
    # A sweep that no gate has judged was cut short: there is something left to do.
    if sufficient and last and last.record.get("dataset") == identifier and (last.path / "gate.json").is_file():
        reasons = [f"nothing is new since run {last.identifier}"]
    ready = not reasons
    found = f"{counted(episodes, 'episode')} of {counted(decisions, 'decision')}, grade {grade}"
    return Readiness(agent, ready, sufficient, tuple(reasons or [found]), decisions, episodes, grade, identifier)


def last_sweep(home: Home, agent: str) -> Run | None:
    """The agent's last sweep that finished or was interrupted, ``None`` where there is none."""
    sweeps = (run for run in reversed(list_runs(home, agent)) if run.record["kind"] == "tune")
    return next((run for run in sweeps if run.status in (FINISHED, INTERRUPTED)), None)


def _declared(home: Home, agent: str) -> tuple[AgentSpecification, Callable[..., Any] | None]:
    if agent in home.agents():
        return home.specification(agent), home.rule(agent)
    with DataCollector(home) as collector:
        return collector.draft(agent), None


def _shortages(specification: AgentSpecification, dataset: Dataset, report: BuildReport) -> list[str]:
    reasons = []
    if len(specification.actions) < 2:
        reasons.append("the log shows a single action, there is nothing to choose")
    if not dataset.episode_count:
        still = f", {report.open_episodes:,} are still open" if report.open_episodes else ""
        lacking = report.unscored_episodes + report.late_episodes
        unscored = f", {lacking:,} lack a reward" if lacking else ""
        reasons.append(f"no episode has ended{still}{unscored}")
    return reasons


def _missing_splits(dataset: Dataset) -> list[str]:
    names = (("train", TRAIN), ("select", SELECT), ("final", FINAL))
    return [f"no episode falls into {name}, log more" for name, code in names if not (dataset.splits == code).any()]
