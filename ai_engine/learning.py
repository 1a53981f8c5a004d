"""``tune`` and ``train``: from an agent's log to versions that the gate can judge."""

from __future__ import annotations

import itertools
import os
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ai_engine.concluding import conclude
from ai_engine.interrupts import Interrupted
from ai_engine.locking import retraining_lock
from ai_engine.reporting import write_run_report
from ai_engine.runs import FAILED, FINISHED, INTERRUPTED, Run
from ai_engine.tune_result import TuneResult
from ai_engine.workspace import Workspace, open_workspace
from envs.columns import save_columns
from envs.dataset import SELECT, TRAIN, Dataset
from envs.errors import DataError, RegistryError, RetrainerError
from envs.home import Home
from envs.storage import LocalStorage
from tune_configs.minibatches import Minibatches
from tune_configs.spaces import search_space
from tune_configs.sweep import SweepError, SweepResult, run_sweeps
from tune_configs.time_budget import TimeBudget
from tune_configs.trial import TrialPlan
from tune_configs.variant import VariantSpecification

Progress = Callable[[str], None]
CHAMPION = "champion.json"
FRESH_SELECT_UNITS = 100
"""With at least so many select episodes since the last gate, variants are judged on those alone."""


def tune(
    name: str,
    *,
    trials: int | None = None,
    time_budget: float | None = None,
    home: Home | str | Path | None = None,
    seed: int = 0,
    refit_all: bool = False,
    algorithms: Sequence[str] | None = None,
    minibatches: Minibatches | None = None,
    started: float | None = None,
    progress: Progress | None = None,
) -> TuneResult:
    """Try variants on ``train`` and ``select``; recommend one and name the finalists for the gate.

    Args:
        name: the agent.
        trials: number of variants; 16 where neither it nor a time budget is given.
        time_budget: seconds in all, kept within a fifth from one minute up.
        home: the home.
        seed: decides the variants drawn and every algorithm's seed.
        refit_all: train the recommendation once more on all rows, ``final`` included; such a version
            can never pass the gate, and says so.
        algorithms: names of the algorithms that variants may use; all that fit by default.
        minibatches: batch size and epochs of every variant that learns in minibatches; its own by default.
        started: ``time.monotonic()`` from which the time budget runs; by default, now.
        progress: told one line after each trial.

    Raises:
        DataError: the log teaches nothing (grade D), with the reason.
        BusyError: the agent is being retrained.
    """
    started = time.monotonic() if started is None else started
    chosen = tuple(algorithms) if algorithms else None
    request = TuneRequest(trials, time_budget, seed, refit_all, chosen, minibatches or Minibatches())
    workspace = open_workspace(name, home)
    with retraining_lock(workspace.home, name):
        run = _begin(workspace, request)
        (outcome,) = _sweep([(workspace, run)], started=started, progress=progress)
    if isinstance(outcome, RetrainerError):
        raise outcome
    return outcome


def tune_all(
    names: Sequence[str],
    *,
    trials: int | None = None,
    home: Home | str | Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, TuneResult | RetrainerError]:
    """:func:`tune` for several agents, whose trials share one set of workers.

    Args:
        names: the agents.
        trials: number of variants of each; 16 by default.
        home: the home.
        seed: of all.
        progress: told one line after each trial.

    Returns:
        For each agent its result, or the error that stopped it; one agent's failure stops no other.
    """
    request, started = TuneRequest(trials, None, seed), time.monotonic()
    outcomes: dict[str, TuneResult | RetrainerError] = {}
    begun: list[tuple[Workspace, Run]] = []
    with ExitStack() as locks:
        for name in names:
            try:
                workspace = open_workspace(name, home)
                locks.enter_context(retraining_lock(workspace.home, name))
                begun.append((workspace, _begin(workspace, request)))
            except RetrainerError as error:
                outcomes[name] = error
        if begun:
            found = _sweep(begun, started=started, progress=progress)
            outcomes |= {workspace.name: outcome for (workspace, _), outcome in zip(begun, found, strict=True)}
    return {name: outcomes[name] for name in names}


@dataclass(frozen=True, slots=True)
class TuneRequest:
    """What :func:`tune` was asked for; see its arguments."""

    trials: int | None = None
    time_budget: float | None = None
    seed: int = 0
    refit_all: bool = False
    algorithms: tuple[str, ...] | None = None
    minibatches: Minibatches = field(default_factory=Minibatches)

    def __post_init__(self) -> None:
        if self.trials is not None and self.trials < 1:
            raise DataError(f"{self.trials} trials", where="tune", remedy="ask for at least one")

    def variants(self, dataset: Dataset) -> tuple[VariantSpecification, ...]:
        """What is tried, in its order; two that minibatches make the same are one."""
        count = self.trials or (16 if self.time_budget is None else 512)
        space, rows = search_space(dataset.specification, self.algorithms), len(dataset.split("train"))

        def different() -> Iterator[VariantSpecification]:
            seen: set[object] = set()
            for drawn in space.variants(self.seed):
                variant = self.minibatches.applied(drawn, rows)
                if variant.key not in seen:
                    seen.add(variant.key)
                    yield variant

        return tuple(itertools.islice(different(), count))


def _begin(workspace: Workspace, request: TuneRequest) -> Run:
    """A new run with everything that its trials read."""
    grade = workspace.learnable()
    _need_splits(workspace)
    kept = {
        "variants": [variant.to_json() for variant in request.variants(workspace.dataset)],
        "seed": request.seed,
        "time_budget": request.time_budget,
        "refit_all": request.refit_all,
        "minibatches": asdict(request.minibatches),
    }
    run = Run.create(workspace.home, workspace.name, "tune", {**kept, "grade": grade})
    try:
        _prepare(workspace, run)
    except BaseException:
        run.discard()  # nothing in it is worth going on from
        raise
    return run


def runs_resume(run: str, *, home: Home | str | Path | None = None, progress: Progress | None = None) -> TuneResult:
    """Finish an interrupted sweep; finished variants are not done again.

    Raises:
        RegistryError: no such run, or one that is no sweep.
    """
    found = Run.open(Home.find(home), run)
    if found.record["kind"] != "tune":
        raise RegistryError(
            f"is no sweep but a {found.record['kind']}",
            where=f"run {run}",
            remedy="only a sweep can be resumed; run it again",
        )
    if found.status == FINISHED:
        return TuneResult.from_json(found.read("result.json"))
    workspace = open_workspace(found.agent, home)
    with retraining_lock(workspace.home, found.agent):
        found.update(status="running", process=os.getpid())
        if not (found.path / CHAMPION).is_file():
            _prepare(workspace, found)
        (outcome,) = _sweep([(workspace, found)], started=time.monotonic(), progress=progress)
    if isinstance(outcome, RetrainerError):
        raise outcome
    return outcome


def _need_splits(workspace: Workspace) -> None:
    dataset = workspace.dataset
    for split, code in (("train", TRAIN), ("select", SELECT)):
        if not (dataset.splits == code).any():
            raise DataError(
                f"{dataset.episode_count} episodes leave none for {split}",
                where=f"agent {workspace.name}",
                remedy="log more decisions",
            )


def _prepare(workspace: Workspace, run: Run) -> None:
    """Write what the trials read: train and select (never final), and last, as a sign of it, the champion."""
    champion = workspace.champion()
    dataset = workspace.dataset.split("train", "select")
    since = workspace.registry.looks(workspace.name).final_sequence
    fresh = (dataset.splits == SELECT) & (dataset.sequences > since)
    save_columns(dataset, run.path / "dataset")
    run.update(
        champion=champion.version,
        dataset=workspace.dataset.identifier,
        since=since if fresh.sum() >= FRESH_SELECT_UNITS else 0,
    )
    LocalStorage(run.path).replace(CHAMPION, champion.to_bytes())


def _plan(run: Run) -> TrialPlan:
    request = run.record["request"]
    return TrialPlan(
        directory=run.path,
        dataset=run.path / "dataset",
        champion=run.path / CHAMPION,
        variants=tuple(VariantSpecification.from_json(item) for item in request["variants"]),
        seed=int(request["seed"]),
        since=int(run.record["since"]),
    )


def _sweep(
    begun: Sequence[tuple[Workspace, Run]], *, started: float, progress: Progress | None
) -> list[TuneResult | RetrainerError]:
    plans = [_plan(run) for _, run in begun]
    request = begun[0][1].record["request"]
    seconds = request["time_budget"]
    budget = None if seconds is None else TimeBudget(started, seconds, bool(request["refit_all"]))

    def report(done: int, count: int, best: float) -> None:
        if progress:
            of = f" of {count}" if budget is None else ""
            progress(f"variants {done}{of}" + (f", best {best:+.3g}" if len(plans) == 1 else ""))

    outcomes: list[TuneResult | RetrainerError] = []
    try:
        sweeps = run_sweeps(plans, time_budget=budget, progress=report)
        for (workspace, run), plan, sweep in zip(begun, plans, sweeps, strict=True):
            try:
                if isinstance(sweep, SweepError):
                    raise sweep
                outcomes.append(_finished(workspace, run, plan, sweep, budget))
            except RetrainerError as error:
                run.update(status=FAILED)
                outcomes.append(error)
    except KeyboardInterrupt:
        for _, run in begun[len(outcomes) :]:
            run.update(status=INTERRUPTED)
        run, path = begun[len(outcomes)][1], begun[0][0].home.path
        raise Interrupted(
            f"interrupted, finished variants are kept in run {run.identifier}",
            resume_command=f"retrainer runs resume {run.identifier} --home {shlex.quote(str(path))}",
        ) from None
    except Exception:
        for _, run in begun[len(outcomes) :]:
            run.update(status=FAILED)
        raise
    return outcomes


def _finished(
    workspace: Workspace, run: Run, plan: TrialPlan, sweep: SweepResult, budget: TimeBudget | None
) -> TuneResult:
    if not sweep.trials:
        raise DataError("no variant finished in time", where=f"run {run.identifier}", remedy="give more time")
    result = conclude(workspace, run, plan, sweep.trials, budget)
    run.write("result.json", result.to_json())
    write_run_report(workspace, run.path, result, seed=plan.seed, created=str(run.record["created"]))
    run.update(status=FINISHED)
    run.tidy()
    return result
