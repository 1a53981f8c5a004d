"""``tune`` and ``train``: from an agent's log to versions that the gate can judge."""

from __future__ import annotations

import itertools
import os
import shlex
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ai_engine.interrupts import Interrupted
from ai_engine.locking import retraining_lock
from ai_engine.reporting import write_run_report
from ai_engine.runs import FAILED, FINISHED, INTERRUPTED, Run
from ai_engine.tune_result import TuneResult, VariantResult
from ai_engine.workspace import Workspace, open_workspace
from algorithms.policy import Policy
from envs.columns import load_columns, save_columns
from envs.dataset import SELECT, TRAIN
from envs.errors import DataError, RegistryError
from envs.home import Home
from envs.storage import LocalStorage
from tune_configs.selection import Selection, select
from tune_configs.spaces import search_space
from tune_configs.sweep import run_sweep
from tune_configs.time_budget import TimeBudget
from tune_configs.training import train_component
from tune_configs.trial import TrialPlan, TrialResult, variant_policy
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
        started: ``time.monotonic()`` from which the time budget runs; by default, now.
        progress: told one line after each trial.

    Raises:
        DataError: the log teaches nothing (grade D), with the reason.
        BusyError: the agent is being retrained.
    """
    if trials is not None and trials < 1:
        raise DataError(f"{trials} trials", where="tune", remedy="ask for at least one")
    started = time.monotonic() if started is None else started
    workspace = open_workspace(name, home)
    grade = workspace.learnable()
    _need_splits(workspace)
    with retraining_lock(workspace.home, name):
        count = trials or (16 if time_budget is None else 512)
        variants = tuple(itertools.islice(search_space(workspace.specification).variants(seed), count))
        request = {
            "variants": [variant.to_json() for variant in variants],
            "seed": seed,
            "time_budget": time_budget,
            "refit_all": refit_all,
        }
        run = Run.create(workspace.home, name, "tune", {**request, "grade": grade})
        try:
            _prepare(workspace, run)
        except BaseException:
            run.discard()  # nothing in it is worth going on from
            raise
        return _sweep(workspace, run, started=started, progress=progress)


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
        return _sweep(workspace, found, started=time.monotonic(), progress=progress)


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


def _sweep(workspace: Workspace, run: Run, *, started: float, progress: Progress | None) -> TuneResult:
    plan, seconds = _plan(run), run.record["request"]["time_budget"]
    budget = None if seconds is None else TimeBudget(started, seconds, bool(run.record["request"]["refit_all"]))

    def report(done: int, count: int, best: float) -> None:
        if progress:
            of = f" of {count}" if budget is None else ""
            progress(f"variants {done}{of}, best {best:+.3g}")

    try:
        sweep = run_sweep(plan, time_budget=budget, progress=report)
        if not sweep.trials:
            raise DataError("no variant finished in time", where=f"run {run.identifier}", remedy="give more time")
        result = _conclude(workspace, run, plan, sweep.trials, budget)
    except KeyboardInterrupt:
        run.update(status=INTERRUPTED)
        raise Interrupted(
            f"interrupted, finished variants are kept in run {run.identifier}",
            resume_command=f"retrainer runs resume {run.identifier} --home {shlex.quote(str(workspace.home.path))}",
        ) from None
    except Exception:
        run.update(status=FAILED)
        raise
    run.write("result.json", result.to_json())
    write_run_report(workspace, run.path, result, seed=plan.seed, created=str(run.record["created"]))
    run.update(status=FINISHED)
    run.tidy()
    return result


def _conclude(
    workspace: Workspace, run: Run, plan: TrialPlan, trials: tuple[TrialResult, ...], budget: TimeBudget | None
) -> TuneResult:
    selection = select(trials)
    versions: dict[int, str] = {}
    for index in selection.finalists:
        versions[index] = _register(workspace, run, plan, index)
    recommended = _recommend(workspace, run, plan, trials, selection, versions, budget)
    variants = [_result(workspace, plan, trial, versions.get(trial.index)) for trial in trials]
    position = [trial.index for trial in trials].index(selection.recommended)
    if variants[position].version != f"{workspace.name}@{recommended}":
        # Trained once more after its choice: an entry of its own where the judged one is a finalist.
        again = _result(workspace, plan, trials[position], recommended, registered=True)
        if variants[position].version:
            variants.append(replace(again, index=len(plan.variants)))
            position = len(variants) - 1
        else:
            variants[position] = again
    return TuneResult(
        agent=workspace.name,
        run=run.identifier,
        grade=str(run.record["request"]["grade"]),
        champion=f"{workspace.name}@{run.record['champion']}",
        variants=tuple(variants),
        finalists=tuple(f"{workspace.name}@{versions[index]}" for index in selection.finalists),
        recommended=variants[position].version,
        recommended_index=variants[position].index,
        evidence=selection.evidence,
        ungated=bool(run.record["request"]["refit_all"]),
    )


def _result(
    workspace: Workspace, plan: TrialPlan, trial: TrialResult, version: str | None, *, registered: bool = False
) -> VariantResult:
    path = (
        workspace.registry.path(workspace.name, version) if registered and version else plan.artefact_path(trial.index)
    )
    return VariantResult.of(workspace.name, trial, version, path, workspace.home.path)


def _register(workspace: Workspace, run: Run, plan: TrialPlan, index: int, policy: Policy | None = None) -> str:
    """Keep a variant as a version of the agent; once, however often a run is resumed."""
    key = f"{index}" if policy is None else f"{index} again"
    kept: dict[str, str] = dict(run.record.get("versions", {}))
    if key not in kept:
        path = plan.artefact_path(index)
        kept[key] = workspace.registry.add_version(policy or Policy.from_bytes(path.read_bytes(), where=str(path)))
        run.update(versions=kept)
    return kept[key]


def _recommend(
    workspace: Workspace,
    run: Run,
    plan: TrialPlan,
    trials: tuple[TrialResult, ...],
    selection: Selection,
    versions: dict[int, str],
    budget: TimeBudget | None,
) -> str:
    """The recommended version. A finalist stays as it was judged; any other is trained once more on
    ``train`` and ``select`` (the choice is made, and the gate reads neither), or on all rows when asked.
    Where a time budget leaves no time for that, it stays as it was judged too."""
    refit_all = bool(run.record["request"]["refit_all"])
    index = selection.recommended
    judged = next(trial for trial in trials if trial.index == index)
    late = budget is not None and not budget.allows_training(trials, index)
    if not refit_all and (index in versions or late):
        return versions.get(index) or _register(workspace, run, plan, index)
    dataset, splits = plan.dataset, ("train", "select")  # type: tuple[Path, tuple[str, ...]]
    note = "trained on train and select after its choice"
    if refit_all:
        dataset, splits = run.path / "dataset-all", ("train", "select", "final")
        save_columns(workspace.dataset, dataset)
        note = "ungated: trained on all rows, final included"
    champion = Policy.from_bytes(plan.champion.read_bytes(), where="champion")
    variant = plan.variants[index]
    trained = train_component(dataset, plan.champion, variant, splits=splits)
    policy = variant_policy(champion, trained, variant, load_columns(dataset), note=note)
    evaluation = {name: judged.to_json()[name] for name in ("value", "gain")}
    policy = replace(policy, provenance=replace(policy.provenance, evaluation=evaluation))
    return _register(workspace, run, plan, index, policy)
