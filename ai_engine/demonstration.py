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

import numpy as np

from ai_engine.continuous_learning import LearningPipeline
from ai_engine.deciding import gate, promote
from ai_engine.demo_result import DemoResult
from ai_engine.deploy import Agent, Registry, load_policy
from ai_engine.gate_result import GateResult
from ai_engine.interrupts import Interrupted
from ai_engine.learning import runs_resume, tune
from ai_engine.reporting import write_run_report
from ai_engine.revealing import reveal_row
from ai_engine.runs import FINISHED, INTERRUPTED, Run, list_runs
from ai_engine.tune_result import TuneResult
from ai_engine.workspace import open_workspace
from envs.errors import SpecificationError
from envs.home import CONFIGURATION, Home
from envs.journal import Journal
from envs.storage import LocalStorage
from envs.testbeds import scaling

EXPLORE = 0.2
DECISIONS, QUICK_DECISIONS = 20_000, 5_000
TRIALS, QUICK_TRIALS = 12, 3
AGENT = "scaling"
STATE = "demo.json"
CONCURRENT = 24
"""Services that log at the same time: what the timestamps, and so the rates, are made of."""
Progress = Callable[[str], None]


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
        earlier = _logged(found, state)
        count = earlier or _log(found, state, QUICK_DECISIONS if quick else DECISIONS)
        trials = QUICK_TRIALS if quick else TRIALS
        tuned = _left_sweep(found, state, trials, tell) if earlier else None
        tuned = tuned or tune(AGENT, trials=trials, home=found, seed=state.seed, progress=tell)
        tell("gate")
        decided = _gated(found, state, tuned)
        tell("revealing the truth")
        result = _reveal(found, state, tuned, decided, count, started)
    except (KeyboardInterrupt, Interrupted):
        command = f"retrainer demo --home {shlex.quote(str(found.path))} --seed {seed}{' --quick' if quick else ''}"
        raise Interrupted("interrupted, nothing is half-written", resume_command=command) from None
    state.finished(result.tune.run)
    return result


@dataclass(slots=True)
class _State:
    """Which demo of a home this is. An interrupted one goes on from what its log, runs and ledger hold.

    Attributes:
        home: the home.
        cycle: number of the demo, from 1.
        seed: of its log and its sweep.
        sequence: journal position at which the demo before it ended.
        run: the sweep of the demo before it, or empty.
    """

    home: Home
    cycle: int
    seed: int
    sequence: int
    run: str

    @classmethod
    def of(cls, home: Home, seed: int) -> _State:
        path = home.path / STATE
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"finished": 0}
        done = int(known["finished"])
        return cls(home, done + 1, seed + 1000 * done, int(known.get("sequence", 0)), str(known.get("run", "")))

    def finished(self, run: str) -> None:
        sequence = Journal(self.home.journal_path).last_sequence(AGENT)
        known = {"schema_version": 1, "finished": self.cycle, "sequence": sequence, "run": run}
        LocalStorage(self.home.path).replace(STATE, json.dumps(known).encode())


def _home(home: Home | str | Path | None, seed: int) -> Home:
    if isinstance(home, Home):
        found = home
    else:
        path = Path(home) if home is not None else Path("retrainer-demo")
        if (path / CONFIGURATION).exists():
            found = Home(path)
        else:
            found = Home.create(path, split_key=hashlib.sha256(f"retrainer demo {seed}".encode()).digest())
    if AGENT not in found.agents():
        found.declare(scaling.specification(EXPLORE))
    declared = found.specification(AGENT)
    if (declared.rule, declared.actions) != (scaling.specification(EXPLORE).rule, scaling.ACTIONS):
        raise SpecificationError(
            "is an agent of your own, which the demo must not log for",
            where=f"agent {AGENT} in {found.path}",
            remedy="give the demo a home of its own with --home",
        )
    return found


def _logged(home: Home, state: _State) -> int:
    """Decisions that this demo logged before it was interrupted: all of them or none."""
    records = Journal(home.journal_path).read(AGENT, after=state.sequence)
    return sum((record.episode_id or "").startswith(f"demo-{state.cycle}-") for _, record in records)


def _left_sweep(home: Home, state: _State, trials: int, tell: Progress) -> TuneResult | None:
    """The sweep of this demo that an interruption left, finished; ``None`` where there is none."""
    runs = [run.identifier for run in list_runs(home, AGENT)]
    later = runs[runs.index(state.run) + 1 :] if state.run in runs else runs
    for run in (Run.open(home, name) for name in reversed(later)):
        request = run.record["request"]
        mine = run.record["kind"] == "tune" and (request["seed"], len(request["variants"])) == (state.seed, trials)
        if mine and run.status in (FINISHED, INTERRUPTED):
            return runs_resume(run.identifier, home=home, progress=tell)
    return None


def _gated(home: Home, state: _State, tuned: TuneResult) -> GateResult:
    """The gate's answer on this demo's sweep, and the promotion that follows from it, each once."""
    registry = Registry(home)
    entries = [entry for entry in registry.history(AGENT) if entry.details.get("run") == tuned.run]
    decided = GateResult.of(entries[-1]) if entries else gate(AGENT, home=home)
    done = any(entry.details.get("gate") == decided.entry for entry in registry.history(AGENT))
    if decided.decision == "promote" and not done and not registry.held(AGENT):
        promote(decided.version, home=home, reason=f"demo {state.cycle}")
    return decided


def _log(home: Home, state: _State, decisions: int) -> int:
    """Let the agent run the testbed's services; one transaction holds every decision of this demo."""
    episodes = -(-decisions // scaling.HORIZON)
    rng = np.random.default_rng([state.seed, 1])
    world = scaling.draw_world(episodes, logged=True, rng=rng)
    agent = Agent(
        AGENT, policy=scaling.threshold_rule, explore=EXPLORE, version="threshold-1", home=home, seed=state.seed
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
    home: Home, state: _State, tuned: TuneResult, decided: GateResult, count: int, started: float
) -> DemoResult:
    registry = Registry(home)
    rule, before = scaling.threshold_rule, decided.champion.rpartition("@")[2]
    champion = load_policy(home.models_path / f"{AGENT}_model.json", base=rule)
    chosen = tuned.recommendation
    promoted = next((variant for variant in tuned.variants if variant.version == decided.version), None)
    previous = registry.version(AGENT, before, base=rule)
    recommended = registry.version(AGENT, tuned.recommended.rpartition("@")[2], base=rule)
    workspace = open_workspace(AGENT, home)
    recent = workspace.dataset.select_episodes(workspace.dataset.sequences > workspace.dataset.sequences.max() - count)
    logged = np.bincount(recent.episode_index, recent.rewards)
    spread = 1.96 * float(logged.std(ddof=1)) / np.sqrt(len(logged))
    mean = float(logged.mean())
    rows = [
        reveal_row("rule without exploration", scaling.rule_probabilities, None, ""),
        reveal_row(f"champion before, {AGENT}@{before}", previous, (mean, mean - spread, mean + spread), "log"),
        reveal_row(
            f"recommended, {tuned.recommended}",
            recommended,
            (chosen.estimate.value, chosen.estimate.lower, chosen.estimate.upper),
            chosen.estimate.evidence,
        ),
    ]
    if champion.version != before and promoted is not None:
        estimate = promoted.estimate
        rows.append(
            reveal_row(
                f"champion now, {decided.version}", champion, (estimate.value, estimate.lower, estimate.upper), "log"
            )
        )
    else:
        rows.append(
            reveal_row(
                f"champion now, {AGENT}@{champion.version}", champion, (mean, mean - spread, mean + spread), "log"
            )
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
        command=f"retrainer rollback {decided.agent}" if champion.version != before else "",
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
        champion=f"{AGENT}@{champion.version}",
        margin=margin,
        report=report,
        seconds=time.monotonic() - started,
    )
