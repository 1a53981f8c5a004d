"""``tune`` and ``train``: from an agent's log to versions that the gate can judge."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from ai_engine.concluding import conclude
from ai_engine.extending import extend
from ai_engine.interrupts import Interrupted
from ai_engine.locking import retraining_lock
from ai_engine.reporting import write_run_report
from ai_engine.runs import FAILED, FINISHED, INTERRUPTED, Run
from ai_engine.sweep_plan import is_prepared, plan_of, prepare
from ai_engine.tracking.following import tracked
from ai_engine.tune_request import TuneRequest
from ai_engine.tune_result import TuneResult
from ai_engine.workspace import Workspace, open_workspace
from envs.dataset import SELECT, TRAIN
from envs.errors import DataError, RegistryError, RetrainerError
from envs.home import Home
from tune_configs.minibatches import Minibatches
from tune_configs.resources import ResourceError
from tune_configs.search_space import SearchSpace
from tune_configs.strategy import Strategy
from tune_configs.sweep import SweepError, SweepResult, run_sweeps
from tune_configs.time_budget import TimeBudget
from tune_configs.trial_plan import TrialPlan
from tune_configs.user_space import load_space

Progress = Callable[[str], None]


def tune(
    name: str,
    *,
    trials: int | None = None,
    time_budget: float | None = None,
    home: Home | str | Path | None = None,
    seed: int = 0,
    refit_all: bool = False,
    algorithms: Sequence[str] | None = None,
    space: SearchSpace | str | Path | None = None,
    search: str = "random",
    scheduler: str = "none",
    seeds: int = 1,
    resources: Mapping[str, float] | None = None,
    minibatches: Minibatches | None = None,
    tags: Mapping[str, str] | None = None,
    track: Sequence[str] | None = None,
    started: float | None = None,
    progress: Progress | None = None,
) -> TuneResult:
    """Try variants on ``train`` and ``select``; recommend one and name the finalists for the gate.

    Args:
        name: the agent.
        trials: number of variants; 16 (8 of a population) where neither it nor a time budget is given.
        time_budget: seconds in all, kept within a fifth from one minute up.
        home: the home.
        seed: decides the variants drawn and is the first seed of each.
        refit_all: train the recommendation once more on all rows, ``final`` included; such a version
            can never pass the gate, and says so.
        algorithms: names of the algorithms that variants may use; all that fit by default.
        space: a search space, or a Python file that defines one as ``SPACE`` and is run for it; by default that of
            the agent.
        search: ``random`` or ``tpe``.
        scheduler: ``none``, ``asha`` or ``pbt``; see :class:`~tune_configs.strategy.Strategy`.
        seeds: of each variant, ``seed`` and those after it; ranks are means over them.
        resources: what one trial takes, by Ray's names; one CPU by default.
        minibatches: batch size and epochs of every variant that learns in minibatches; its own by default.
        tags: kept with the run, to find it by.
        track: where it is tracked, ``mlflow`` and ``tensorboard``; by default where the environment or the home says.
        started: ``time.monotonic()`` from which the time budget runs; by default, now.
        progress: told one line after each trial.

    Raises:
        DataError: the log teaches nothing (grade D), with the reason.
        SpecificationError: the search space is wrong, or parts of the request do not go together.
        ResourceError: a trial asks for more than there is.
        BusyError: the agent is being retrained.
        MissingExtraError: a tracker's library is not installed.
    """
    started = time.monotonic() if started is None else started
    request = TuneRequest(
        trials=trials,
        time_budget=time_budget,
        seed=seed,
        refit_all=refit_all,
        algorithms=tuple(algorithms) if algorithms else None,
        minibatches=minibatches or Minibatches(),
        space=load_space(space) if isinstance(space, str | Path) else space,
        seeds=seeds,
        strategy=Strategy(search, scheduler, dict(resources or {})),
    )
    workspace = open_workspace(name, home)
    with tracked(workspace.home, [name], track), retraining_lock(workspace.home, name):
        run = _begin(workspace, request, tags)
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
    request, started = TuneRequest(trials=trials, seed=seed), time.monotonic()
    outcomes: dict[str, TuneResult | RetrainerError] = {}
    begun: list[tuple[Workspace, Run]] = []
    with tracked(Home.find(home), names), ExitStack() as locks:
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


def _begin(workspace: Workspace, request: TuneRequest, tags: Mapping[str, str] | None = None) -> Run:
    """A new run with everything that its trials read."""
    grade = workspace.learnable()
    _need_splits(workspace)
    kept = request.to_json(workspace.dataset)
    run = Run.create(workspace.home, workspace.name, "tune", {**kept, "grade": grade}, tags)
    try:
        prepare(workspace, run)
    except BaseException:
        run.discard()  # nothing in it is worth going on from
        raise
    return run


def runs_resume(
    run: str,
    *,
    add: int | None = None,
    home: Home | str | Path | None = None,
    track: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> TuneResult:
    """Finish an interrupted sweep, or try further variants in a finished one; finished variants are not done again.

    Args:
        run: its name.
        add: further variants to try, of the same search on the same log; only once it has finished.
        home: the home.
        track: see :func:`tune`.
        progress: told one line after each trial.

    Raises:
        RegistryError: no such run, or one that is no sweep.
        DataError: variants are to be added, but it has not finished, or the log or the champion has changed since.
        BusyError: the agent is being retrained.
    """
    found = Run.open(Home.find(home), run)
    if found.record["kind"] != "tune":
        raise RegistryError(
            f"is no sweep but a {found.record['kind']}",
            where=f"run {run}",
            remedy="only a sweep can be resumed; run it again",
        )
    if found.status == FINISHED and add is None:
        return TuneResult.from_json(found.read("result.json"))
    workspace = open_workspace(found.agent, home)
    with tracked(workspace.home, [found.agent], track), retraining_lock(workspace.home, found.agent):
        if add is not None:
            extend(workspace, found, add)
        found.update(status="running", process=os.getpid())
        if not is_prepared(found):
            prepare(workspace, found)
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


def _sweep(
    begun: Sequence[tuple[Workspace, Run]], *, started: float, progress: Progress | None
) -> list[TuneResult | RetrainerError]:
    plans = [plan_of(run) for _, run in begun]
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
                run.update(status=FAILED, error=str(error))
                outcomes.append(error)
    except KeyboardInterrupt:
        for _, run in begun[len(outcomes) :]:
            run.update(status=INTERRUPTED)
        run, path = begun[len(outcomes)][1], begun[0][0].home.path
        raise Interrupted(
            f"interrupted, finished variants are kept in run {run.identifier}",
            resume_command=f"retrainer runs resume {run.identifier} --home {shlex.quote(str(path))}",
        ) from None
    except ResourceError as error:
        for (_, run), plan in zip(begun, plans, strict=True):
            if plan.results():
                run.update(status=FAILED, error=str(error))
            else:
                run.discard()  # it can never go on as it was asked for
        raise
    except Exception as error:
        for _, run in begun[len(outcomes) :]:
            run.update(status=FAILED, error=f"{type(error).__name__}: {error}")
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
