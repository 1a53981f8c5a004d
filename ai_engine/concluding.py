"""From the trials of a sweep to versions of the agent: finalists as they were judged, and the recommendation."""

from __future__ import annotations

from dataclasses import replace

from ai_engine.runs import Run
from ai_engine.tune_result import TuneResult, VariantResult
from ai_engine.workspace import Workspace
from algorithms.policy import Policy
from envs.columns import load_columns, save_columns
from tune_configs.selection import Selection, select
from tune_configs.time_budget import TimeBudget
from tune_configs.training import train_component
from tune_configs.trial import TrialPlan, TrialResult, variant_policy

WITHOUT_CHANCE = ("tabular_q",)
"""Algorithms whose result the log alone decides."""


def conclude(
    workspace: Workspace, run: Run, plan: TrialPlan, trials: tuple[TrialResult, ...], budget: TimeBudget | None
) -> TuneResult:
    """Register what a finished sweep found, once, however often it is concluded."""
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
    """The recommended version. A finalist stays as it was judged; a table is trained once more on ``train``
    and ``select`` (the choice is made, and the gate reads neither), anything on all rows when asked. A
    network stays as it was judged: what it would learn another time is another draw, which nobody has judged
    (LunarLander: 226 became 45). So does a table where a time budget leaves no time."""
    refit_all = bool(run.record["request"]["refit_all"])
    index = selection.recommended
    judged = next(trial for trial in trials if trial.index == index)
    drawn = plan.variants[index].algorithm not in WITHOUT_CHANCE
    late = budget is not None and not budget.allows_training(trials, index)
    if not refit_all and (index in versions or drawn or late):
        return versions.get(index) or _register(workspace, run, plan, index)
    dataset = plan.dataset
    splits: tuple[str, ...] = ("train", "select")
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
