"""``retrainer demo``: the whole chain on the scaling testbed, and then the truth beside every estimate.

Everything between the log and the reveal sees only the log. Each further demo in the same home logs
new decisions by the present champion and retrains against it.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from ai_engine.continuous_learning import LearningPipeline
from ai_engine.deciding import gate, promote
from ai_engine.deploy import Agent, Registry, load_policy
from ai_engine.gate_result import GateResult
from ai_engine.interrupts import Interrupted
from ai_engine.learning import tune
from ai_engine.reporting import write_run_report
from ai_engine.runs import Run
from ai_engine.text import interval, number, table
from ai_engine.tune_result import TuneResult
from ai_engine.workspace import open_workspace
from algorithms.policy import Policy
from algorithms.policy.provenance import plain_json
from envs.home import Home
from envs.storage import LocalStorage
from envs.testbeds import scaling

EXPLORE = 0.2
DECISIONS, QUICK_DECISIONS = 20_000, 5_000
TRIALS, QUICK_TRIALS = 12, 3
STATE = "demo.json"
CONCURRENT = 24
"""Services that log at the same time: what the timestamps, and so the rates, are made of."""
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RevealRow:
    """A policy's estimate beside its truth.

    Attributes:
        policy: what it is.
        estimate: estimated value, with its interval; NaN where none was made.
        lower: lower end.
        upper: upper end.
        evidence: ``log``, ``model`` or empty.
        pool: true value on the logged days, of which the intervals speak.
        pool_error: its standard error.
        unseen: true value on the days that were never logged.
        unseen_error: its standard error.
    """

    policy: str
    estimate: float
    lower: float
    upper: float
    evidence: str
    pool: float
    pool_error: float
    unseen: float
    unseen_error: float

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What a demo showed.

    Attributes:
        home: its home.
        cycle: number of this demo in the home, from 1.
        seed: its seed.
        decisions: decisions logged by this demo.
        grade: of the log.
        tune: the sweep.
        gate: the gate's answer.
        reveal: truth beside estimate: rule, champion before, recommendation, champion after.
        margin: loss of value that the declaration tolerates.
        report: the report page.
        seconds: wall-clock time.
    """

    home: Path
    cycle: int
    seed: int
    decisions: int
    grade: str
    tune: TuneResult
    gate: GateResult
    reveal: tuple[RevealRow, ...]
    margin: float
    report: Path
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """One document."""
        plain: dict[str, Any] = plain_json(
            {
                "schema_version": 1,
                **{n: getattr(self, n) for n in ("cycle", "seed", "decisions", "grade", "margin", "seconds")},
                "home": str(self.home),
                "report": str(self.report),
                "tune": self.tune.to_json(),
                "gate": self.gate.to_json(),
                "reveal": [row.to_json() for row in self.reveal],
            }
        )
        return plain

    def to_text(self) -> str:
        """Log, sweep, gate, truth, and one sentence."""
        rows = [
            (
                row.policy,
                number(row.estimate, 4),
                interval(row.lower, row.upper) if np.isfinite(row.lower) else "",
                {"log": "log, 95 %", "model": "models' range"}.get(row.evidence, ""),
                f"{number(row.pool, 4)} ± {number(row.pool_error, 1)}",
                f"{number(row.unseen, 4)} ± {number(row.unseen_error, 1)}",
            )
            for row in self.reveal
        ]
        header = ("policy", "estimate", "interval", "evidence", "truth, logged days", "truth, unseen days")
        finalists = len(self.tune.finalists)
        return (
            f"log     {self.decisions:,} new decisions, grade {self.grade}\n"
            f"tune    {len(self.tune.variants)} variants, {finalists} finalists, recommended {self.tune.recommended}"
            f" ({self.tune.evidence})\n"
            f"gate    {self.gate.decision}: {self.gate.reason}\n"
            f"{table(header, rows)}\n"
            f"report  {self.report}\n"
            f"{self._sentence()}"
        )

    def _sentence(self) -> str:
        if self.gate.decision == "promote":
            return (
                f"{self.gate.version} is the champion now; one command goes back: retrainer rollback {self.gate.agent}."
            )
        return f"The champion stays {self.gate.champion}: {self.gate.decision}."


def demo(
    *,
    home: Home | str | Path | None = None,
    seed: int = 0,
    quick: bool = False,
    progress: Progress | None = None,
) -> DemoResult:
    """Log, tune, gate, promote and reveal on the scaling testbed.

    Args:
        home: where; ``retrainer-demo`` in the current folder by default, created where it is not.
        seed: the same seed in a new home gives the same result.
        quick: 3 variants on 5,000 decisions instead of 12 on 20,000.
        progress: told one line at each step.
    """
    started = time.monotonic()
    tell = progress or (lambda text: None)
    found = _home(home, seed)
    state = _State.of(found, seed)
    try:
        tell("logging decisions")
        count = _log(found, state, QUICK_DECISIONS if quick else DECISIONS)
        tuned = tune("scaling", trials=QUICK_TRIALS if quick else TRIALS, home=found, seed=state.seed, progress=tell)
        tell("gate")
        before = Registry(found).champion("scaling")
        decided = gate("scaling", home=found)
        if decided.decision == "promote":
            promote(decided.version, home=found, reason=f"demo {state.cycle}")
        tell("revealing the truth")
        result = _reveal(found, state, tuned, decided, before, count, started)
    except (KeyboardInterrupt, Interrupted):
        command = f"retrainer demo --home {shlex.quote(str(found.path))} --seed {seed}{' --quick' if quick else ''}"
        raise Interrupted("interrupted, nothing is half-written", resume_command=command) from None
    state.finished()
    return result


@dataclass(slots=True)
class _State:
    """Which demo of a home this is; an interrupted one is done again with the same decisions."""

    home: Home
    cycle: int
    seed: int

    @classmethod
    def of(cls, home: Home, seed: int) -> _State:
        path = home.path / STATE
        done = json.loads(path.read_text(encoding="utf-8"))["finished"] if path.exists() else 0
        return cls(home, done + 1, seed + 1000 * done)

    def finished(self) -> None:
        content = json.dumps({"schema_version": 1, "finished": self.cycle}).encode()
        LocalStorage(self.home.path).replace(STATE, content)


def _home(home: Home | str | Path | None, seed: int) -> Home:
    if isinstance(home, Home):
        return home
    path = Path(home) if home is not None else Path("retrainer-demo")
    if (path / "retrainer.toml").exists():
        found = Home(path)
    else:
        found = Home.create(path, split_key=hashlib.sha256(f"retrainer demo {seed}".encode()).digest())
    if "scaling" not in found.agents():
        found.declare(scaling.specification(EXPLORE))
    return found


def _log(home: Home, state: _State, decisions: int) -> int:
    """Let the agent run the testbed's services; one transaction holds every decision of this demo."""
    episodes = -(-decisions // scaling.HORIZON)
    rng = np.random.default_rng([state.seed, 1])
    world = scaling.draw_world(episodes, logged=True, rng=rng)
    agent = Agent(
        "scaling", policy=scaling.threshold_rule, explore=EXPLORE, version="threshold-1", home=home, seed=state.seed
    )
    start = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(days=30 * (state.cycle - 1))
    records = []
    rows = world.observe()
    for step in range(scaling.HORIZON):
        decided = [
            agent.decide(
                scaling.OBSERVATION.value(rows[episode]),
                episode_id=f"demo-{state.cycle}-{episode:05d}",
                tenant=str(world.episodes.tenants[episode]),
                timestamp=start + timedelta(hours=episode // CONCURRENT, minutes=scaling.INTERVAL * step),
            )
            for episode in range(episodes)
        ]
        outcome = world.step(np.array([scaling.ACTIONS.index(str(decision.action)) for decision in decided]))
        rows = world.observe()
        last = step == scaling.HORIZON - 1
        records += [
            agent.completed(
                decision,
                {name: float(values[episode]) for name, values in outcome.items()},
                next_observation=scaling.OBSERVATION.value(rows[episode]) if last else None,
                truncated=last,
            )
            for episode, decision in enumerate(decided)
        ]
    with LearningPipeline(home) as pipeline:
        pipeline.record_many(records)
    return len(records)


def _reveal(
    home: Home, state: _State, tuned: TuneResult, decided: GateResult, before: str, count: int, started: float
) -> DemoResult:
    registry = Registry(home)
    rule = scaling.threshold_rule
    champion = load_policy(home.models_path / "scaling_model.json", base=rule)
    chosen = tuned.recommendation
    promoted = next((variant for variant in tuned.variants if variant.version == decided.version), None)
    previous = registry.version("scaling", before, base=rule)
    recommended = registry.version("scaling", tuned.recommended.rpartition("@")[2], base=rule)
    workspace = open_workspace("scaling", home)
    recent = workspace.dataset.select_episodes(workspace.dataset.sequences > workspace.dataset.sequences.max() - count)
    logged = np.bincount(recent.episode_index, recent.rewards)
    spread = 1.96 * float(logged.std(ddof=1)) / np.sqrt(len(logged))
    mean = float(logged.mean())
    rows = [
        _row("rule without exploration", scaling.rule_probabilities, None, ""),
        _row(f"champion before, scaling@{before}", previous, (mean, mean - spread, mean + spread), "log"),
        _row(
            f"recommended, {tuned.recommended}",
            recommended,
            (chosen.estimate.value, chosen.estimate.lower, chosen.estimate.upper),
            chosen.estimate.evidence,
        ),
    ]
    if decided.decision == "promote" and promoted is not None:
        estimate = promoted.estimate
        rows.append(
            _row(f"champion now, {decided.version}", champion, (estimate.value, estimate.lower, estimate.upper), "log")
        )
    else:
        rows.append(
            _row(f"champion now, scaling@{champion.version}", champion, (mean, mean - spread, mean + spread), "log")
        )
    run = Run.open(home, tuned.run)
    report = write_run_report(
        workspace,
        run.path,
        tuned,
        decided,
        seed=state.seed,
        reveal=[row.to_json() for row in rows],
        created=str(run.record["created"]),
        command=f"retrainer rollback {decided.agent}" if decided.decision == "promote" else "",
    )
    specification = workspace.specification
    margin = (
        specification.margin if specification.margin is not None else 0.5 * specification.practical_effect * abs(mean)
    )
    return DemoResult(
        home=home.path,
        cycle=state.cycle,
        seed=state.seed,
        decisions=count,
        grade=tuned.grade,
        tune=tuned,
        gate=decided,
        reveal=tuple(rows),
        margin=margin,
        report=report,
        seconds=time.monotonic() - started,
    )


def _row(
    label: str,
    policy: Policy | Callable[[np.ndarray], np.ndarray],
    estimate: tuple[float, float, float] | None,
    evidence: str,
) -> RevealRow:
    def probabilities(rows: np.ndarray) -> np.ndarray:
        if isinstance(policy, Policy):
            return policy.probabilities(rows, base=scaling.rule_probabilities(rows) if policy.needs_base else None)
        return policy(rows)

    pool = scaling.truth_of(scaling.true_returns(probabilities, logged=True))
    unseen = scaling.truth_of(scaling.true_returns(probabilities, logged=False))
    value, lower, upper = estimate or (float("nan"),) * 3
    return RevealRow(label, value, lower, upper, evidence, pool.value, pool.error, unseen.value, unseen.error)
