"""From the trials of a sweep to versions of the agent: finalists as they were judged, and the recommendation."""

from __future__ import annotations

from dataclasses import replace

from ai_engine.runs import Run
from ai_engine.tune_result import TuneResult, VariantResult
from ai_engine.workspace import Workspace
from algorithms.policy import Policy
from algorithms.policy.provenance import plain_json
from envs.columns import load_columns, save_columns
from tune_configs.selection import Selection, select
from tune_configs.time_budget import TimeBudget
from tune_configs.training import ITERATIONS, train_component
from tune_configs.trial import variant_policy
from tune_configs.trial_plan import TrialPlan
from tune_configs.trial_result import TrialResult

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
        # Another checkpoint, or trained once more after its choice: an entry of its own where the best is a finalist.
        again = _result(workspace, plan, trials[position], recommended, proposed=True)
        if variants[position].version:
            variants.append(replace(again, index=plan.count))
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
    workspace: Workspace, plan: TrialPlan, trial: TrialResult, version: str | None, *, proposed: bool = False
) -> VariantResult:
    """A trial's best checkpoint as it was judged, or the proposed one as it was registered."""
    path = plan.artefact_path(trial.index)
    if proposed and version:
        path = workspace.registry.path(workspace.name, version)
    judged = trial.proposed if proposed else trial.best
    return VariantResult.of(workspace.name, trial, judged, version, path, workspace.home.path)


def _register(
    workspace: Workspace, run: Run, plan: TrialPlan, index: int, policy: Policy | None = None, *, last: bool = False
) -> str:
    """Keep a variant as a version of the agent; once, however often a run is resumed."""
    key = f"{index} again" if policy is not None else f"{index} last" if last else f"{index}"
    kept: dict[str, str] = dict(run.record.get("versions", {}))
    if key not in kept:
        path = plan.artefact_path(index, last=last)
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
    index, last = selection.recommended, selection.last
    trial = next(trial for trial in trials if trial.index == index)
    judged = trial.proposed
    drawn = judged.variant.algorithm not in WITHOUT_CHANCE
    late = budget is not None and not budget.allows_training(trials, index)
    finalist = index in versions and not last
    if not refit_all and (finalist or drawn or late):
        return _register(workspace, run, plan, index, last=last)
    dataset = plan.dataset
    splits: tuple[str, ...] = ("train", "select")
    note = "trained on train and select after its choice"
    if refit_all:
        dataset, splits = run.path / "dataset-all", ("train", "select", "final")
        save_columns(workspace.dataset, dataset)
        note = "ungated: trained on all rows, final included"
    champion = Policy.from_bytes(plan.champion.read_bytes(), where="champion")
    variant = replace(judged.variant, seeds=(judged.seed,))
    # What ended by itself ends by itself once more; what was stopped at its best is stopped there.
    iterations = ITERATIONS if judged is trial.last else judged.iteration
    trained = train_component(dataset, plan.champion, variant, splits=splits, iterations=iterations)
    policy = variant_policy(champion, trained, variant, load_columns(dataset), note=note)
    evaluation = {name: judged.to_json()[name] for name in ("value", "gain")}
    policy = replace(policy, provenance=replace(policy.provenance, evaluation=plain_json(evaluation)))
    return _register(workspace, run, plan, index, policy)
