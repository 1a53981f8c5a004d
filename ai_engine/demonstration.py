"""``retrainer demo``: the whole chain on the testbeds of all four agents, and then the truth beside every estimate.

Everything between the log and the reveal sees only the log. Each further demo in the same home logs
new decisions by the present champions and retrains against them.
"""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ai_engine.deciding import gate, promote
from ai_engine.demo_log import DemoState, demo_state, finish_demo, log_decisions, logged_decisions
from ai_engine.demo_result import AgentDemo, DemoResult, shown_path
from ai_engine.deploy import Registry, load_policy
from ai_engine.gate_result import GateResult
from ai_engine.interrupts import Interrupted
from ai_engine.learning import runs_resume, tune_all
from ai_engine.reporting import write_run_report
from ai_engine.revealing import RevealRow, reveal_row
from ai_engine.runs import FINISHED, INTERRUPTED, Run, list_runs
from ai_engine.tune_result import TuneResult
from ai_engine.workspace import Workspace, open_workspace
from algorithms.ope.estimate import Estimate
from envs.errors import RetrainerError, SpecificationError
from envs.home import CONFIGURATION, Home
from envs.testbeds.testbed import TESTBEDS

DECISIONS, QUICK_DECISIONS = 20_000, 5_000
TRIALS, QUICK_TRIALS = 8, 3
Progress = Callable[[str], None]
Interval = tuple[float, float, float]


def demo(
    *,
    home: Home | str | Path | None = None,
    seed: int = 0,
    quick: bool = False,
    agents: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> DemoResult:
    """Log, tune, gate, promote and reveal on the testbeds.

    Args:
        home: where; ``retrainer-demo`` in the current folder by default, created where it is not.
        seed: the same seed in a new home gives the same result.
        quick: 3 variants on 5,000 decisions of each agent instead of 8 on 20,000.
        agents: names of testbeds; all four by default.
        progress: told one line at each step.

    Raises:
        SpecificationError: no testbed of that name, or the home declares an agent of that name of its own.
    """
    started = time.monotonic()
    tell = progress or (lambda text: None)
    names = _known(agents)
    found = _home(home, seed, names)
    states = {name: demo_state(found, name) for name in names}
    try:
        counts = {}
        for name, state in states.items():
            tell(f"logging decisions of {name}")
            count = logged_decisions(found, name, state)
            decisions = QUICK_DECISIONS if quick else DECISIONS
            counts[name] = count or log_decisions(found, TESTBEDS[name], state, seed, decisions)
        tuned = _tuned(found, states, seed, QUICK_TRIALS if quick else TRIALS, tell)
        shown = []
        for name, state in states.items():
            tell(f"gate of {name}")
            decided = _gated(found, state, tuned[name])
            tell(f"revealing the truth of {name}")
            shown.append(_reveal(found, state, seed, tuned[name], decided, counts[name]))
    except (KeyboardInterrupt, Interrupted):
        chosen = f" --agents {','.join(names)}" if agents else ""
        where = f"--home {shlex.quote(str(found.path))} --seed {seed}"
        command = f"retrainer demo {where}{chosen}{' --quick' if quick else ''}"
        raise Interrupted("interrupted, nothing is half-written", resume_command=command) from None
    for name in names:
        finish_demo(found, name, tuned[name].run)
    return DemoResult(found.path, seed, tuple(shown), time.monotonic() - started)


def _known(agents: Sequence[str] | None) -> tuple[str, ...]:
    for name in agents or ():
        if name not in TESTBEDS:
            raise SpecificationError(f"{name!r} has no testbed", where="demo", remedy=f"use {', '.join(TESTBEDS)}")
    return tuple(name for name in TESTBEDS if agents is None or name in agents)


def _home(home: Home | str | Path | None, seed: int, names: Sequence[str]) -> Home:
    path = home.path if isinstance(home, Home) else Path(home) if home is not None else Path("retrainer-demo")
    if isinstance(home, Home):
        found = home
    elif (path / CONFIGURATION).exists():
        found = Home(path)
    else:
        found = Home.create(path, split_key=hashlib.sha256(f"retrainer demo {seed}".encode()).digest())
    for name in names:
        wanted = TESTBEDS[name].specification
        if name not in found.agents():
            found.declare(wanted)
        declared = found.specification(name)
        if (declared.rule, declared.actions) != (wanted.rule, wanted.actions):
            raise SpecificationError(
                "is an agent of your own, which the demo must not log for",
                where=f"agent {name} in {found.path}",
                remedy="give the demo a home of its own with --home",
            )
    return found


def _tuned(home: Home, states: dict[str, DemoState], seed: int, trials: int, tell: Progress) -> dict[str, TuneResult]:
    """The sweep of each agent: the one that an interruption left, or a new one, all new ones together."""
    found: dict[str, TuneResult] = {}
    by_seed: dict[int, list[str]] = {}
    for name, state in states.items():
        if left := _left_sweep(home, name, state, state.seed(seed), trials, tell):
            found[name] = left
        else:
            by_seed.setdefault(state.seed(seed), []).append(name)
    for own, names in by_seed.items():
        for name, outcome in tune_all(names, trials=trials, home=home, seed=own, progress=tell).items():
            if isinstance(outcome, RetrainerError):
                raise outcome
            found[name] = outcome
    return found


def _left_sweep(home: Home, name: str, state: DemoState, seed: int, trials: int, tell: Progress) -> TuneResult | None:
    """The sweep of this demo that an interruption left, finished; ``None`` where there is none."""
    runs = [run.identifier for run in list_runs(home, name)]
    later = runs[runs.index(state.run) + 1 :] if state.run in runs else runs
    for run in (Run.open(home, identifier) for identifier in reversed(later)):
        request = run.record["request"]
        mine = run.record["kind"] == "tune" and (request["seed"], len(request["variants"])) == (seed, trials)
        if mine and run.status in (FINISHED, INTERRUPTED):
            return runs_resume(run.identifier, home=home, progress=tell)
    return None


def _gated(home: Home, state: DemoState, tuned: TuneResult) -> GateResult:
    """The gate's answer on this demo's sweep, and the promotion that follows from it, each once."""
    registry, agent = Registry(home), tuned.agent
    entries = [entry for entry in registry.history(agent) if entry.details.get("run") == tuned.run]
    decided = GateResult.of(entries[-1]) if entries else gate(agent, home=home)
    done = any(entry.details.get("gate") == decided.entry for entry in registry.history(agent))
    if decided.decision == "promote" and not done and not registry.held(agent):
        promote(decided.version, home=home, reason=f"demo {state.cycle}")
    return decided


def _reveal(home: Home, state: DemoState, seed: int, tuned: TuneResult, decided: GateResult, count: int) -> AgentDemo:
    agent, registry, testbed = tuned.agent, Registry(home), TESTBEDS[tuned.agent]
    workspace, run = open_workspace(agent, home), Run.open(home, tuned.run)
    before = decided.champion.rpartition("@")[2]
    champion = load_policy(home.models_path / f"{agent}_model.json", base=testbed.rule)
    logged = _logged_interval(workspace, count)
    promoted = next((variant for variant in tuned.variants if variant.version == decided.version), None)
    moved = champion.version != before
    chosen = tuned.recommendation.estimate

    def row(label: str, version: str, estimate: Interval, evidence: str) -> RevealRow:
        policy = champion if version == champion.version else registry.version(agent, version, base=testbed.rule)
        return reveal_row(testbed, label, policy, estimate, evidence)

    recommended = tuned.recommended.rpartition("@")[2]
    rows = (
        reveal_row(testbed, "rule without exploration", testbed.rule_probabilities, None, ""),
        row(f"champion before, {decided.champion}", before, logged, "log"),
        row(f"recommended, {tuned.recommended}", recommended, _interval(chosen), chosen.evidence),
        row(
            f"champion now, {agent}@{champion.version}",
            champion.version,
            _interval(promoted.estimate) if moved and promoted else logged,
            "log",
        ),
    )
    report = write_run_report(
        workspace,
        run.path,
        tuned,
        decided,
        seed=state.seed(seed),
        reveal=[each.to_json() for each in rows],
        created=str(run.record["created"]),
        command=f"retrainer rollback {agent} --home {shown_path(workspace.home.path)}" if moved else "",
    )
    declared = workspace.specification
    return AgentDemo(
        cycle=state.cycle,
        decisions=count,
        tune=tuned,
        gate=decided,
        reveal=rows,
        champion=f"{agent}@{champion.version}",
        margin=0.5 * declared.practical_effect * abs(logged[0]) if declared.margin is None else declared.margin,
        report=report,
    )


def _interval(estimate: Estimate) -> Interval:
    return estimate.value, estimate.lower, estimate.upper


def _logged_interval(workspace: Workspace, count: int) -> Interval:
    """Mean return of this demo's log with its 95 % interval."""
    dataset = workspace.dataset
    recent = dataset.select_episodes(dataset.sequences > dataset.sequences.max() - count)
    returns = np.bincount(recent.episode_index, recent.rewards)
    spread = 1.96 * float(returns.std(ddof=1)) / np.sqrt(len(returns))
    mean = float(returns.mean())
    return mean, mean - spread, mean + spread
