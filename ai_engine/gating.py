"""From an agent's final units to the gate's request: who is judged, on what, with which bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ai_engine.tune_result import TuneResult
from ai_engine.workspace import Workspace
from algorithms.ope.estimate import Estimate
from algorithms.ope.intervals import unit_any, unit_log_weights, unit_values
from algorithms.ope.overlap import DOUBLY_ROBUST_RULE
from algorithms.ope.padding import pad, trajectories_from
from algorithms.ope.paired import paired_overlap
from algorithms.ope.trajectories import Trajectories
from algorithms.policy import Policy
from envs.dataset import FINAL, Dataset
from envs.specification import AgentSpecification
from tune_configs.gate.betting import BoundedDifferences, logger_difference, single_decision_difference
from tune_configs.gate.decision import decide
from tune_configs.gate.planning import needs_for_units
from tune_configs.gate.request import GateDecision, GateRequest, Needs, Planning
from tune_configs.gate.tail import TailEvidence
from tune_configs.judge import Judge, episodes_in
from tune_configs.trial import behavior_propensities


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What the gate is asked.

    Attributes:
        champion: the present champion.
        versions: the finalists, best first.
        tuned: the sweep that chose them.
        since: journal position from which ``select`` was read by it.
    """

    champion: Policy
    versions: list[str]
    tuned: TuneResult
    since: int


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The decision, the number of final units read, and the journal position up to which they are used."""

    decision: GateDecision
    units: int
    final_sequence: int


def ask(workspace: Workspace, question: Question) -> Answer:
    """Judge the finalists on final units newer than the last look."""
    registry, specification = workspace.registry, workspace.specification
    looks = registry.looks(workspace.name)
    finalists = [registry.version(workspace.name, version) for version in question.versions]
    dataset, (champion, *candidates) = workspace.with_known_ends(question.champion, *finalists)
    newest = int(dataset.sequences.max(initial=0))
    fresh = (dataset.splits == FINAL) & (dataset.sequences > looks.final_sequence)
    grade = workspace.card().grade
    planning = _planning(dataset, specification)
    if not candidates:
        return Answer(_without_finalists(question.tuned, grade, looks.count + 1), 0, newest)
    if grade in ("C", "D") or fresh.sum() < DOUBLY_ROBUST_RULE.minimum_units:
        needed = int(DOUBLY_ROBUST_RULE.minimum_units) - int(fresh.sum())
        needs = needs_for_units(needed, planning, None)
        spent = (
            f"only {fresh.sum():,} final episodes are newer than the last look, {needed:,} more are needed "
            f"(about {needs.decisions:,} decisions)"
        )
        empty = np.zeros((len(candidates), 0))
        request = GateRequest(
            differences=empty,
            effective_sample_sizes=np.zeros(len(candidates)),
            tail=TailEvidence(returns=np.zeros(0)),
            grade=grade,
            look=looks.count + 1,
            practical_effect=1.0,
            unpaid=spent,
            planning=planning,
        )
        decision = decide(request)
        return Answer(decision if grade in ("C", "D") else replace(decision, needs=needs), 0, newest)
    selected = episodes_in(dataset, "select") & (dataset.sequences > question.since)
    propensities = behavior_propensities(dataset)
    judge = Judge(
        dataset,
        champion,
        evaluated=fresh,
        fitted=episodes_in(dataset, "train", "select"),
        folds=0,
        propensities=propensities,
    )
    differences, trajectories = judge.differences(np.stack(candidates))
    earlier = Judge(
        dataset,
        champion,
        evaluated=selected,
        fitted=episodes_in(dataset, "train", "select") & ~selected,
        propensities=propensities,
    )
    reference, _ = earlier.differences(np.stack(candidates))
    base = judge.champion[judge.first][0]
    returns = unit_values(base.returns, judge.units)
    reached = min(paired_overlap(base, units=judge.units), float(len(returns)))
    request = GateRequest(
        differences=differences,
        effective_sample_sizes=np.array([min(paired_overlap(t, units=judge.units), reached) for t in trajectories]),
        tail=_tail(judge, trajectories, returns, specification),
        grade=grade,
        look=looks.count + 1,
        practical_effect=max(specification.practical_effect * abs(float(returns.mean())), 1e-12),
        minimum_gain=specification.minimum_gain,
        bounded=_bounded(judge, champion, candidates, selected),
        reference=reference,
        model_estimate=_model_estimate(question.tuned),
        planning=planning,
    )
    return Answer(decide(request), differences.shape[1], newest)


def _without_finalists(tuned: TuneResult, grade: str, look: int) -> GateDecision:
    if grade in ("C", "D"):
        return GateDecision("refused", f"the log is grade {grade}", None, "", (), 0.0, look, Needs())
    if any(variant.gain.usable for variant in tuned.variants):
        reason = "no variant that the log reaches gains on select"
        return GateDecision("keep", reason, None, "", (), 0.0, look, Needs())
    return GateDecision("refused", "no variant has overlap", None, "", (), 0.0, look, Needs())


def _tail(
    judge: Judge, trajectories: list[Trajectories], returns: np.ndarray, specification: AgentSpecification
) -> TailEvidence:
    if not specification.worst_class:
        return TailEvidence(returns=returns)
    worst = pad(judge.subset, judge.subset.worst, specification.horizon).any(axis=1)
    by_unit = unit_any(np.asarray(worst), judge.units)
    weights = [np.exp(unit_log_weights(t.log_ratios.sum(axis=1), judge.units)) for t in trajectories]
    return TailEvidence(returns=returns, worst=by_unit, weights=np.stack(weights))


def _bounded(
    judge: Judge, champion: np.ndarray, candidates: list[np.ndarray], selected: np.ndarray
) -> BoundedDifferences | None:
    """Differences of the finite-sample leg; only where bounds are declared and the unit is the episode.

    Their spread, which sizes the bets, is measured on ``select``: the bets stand before ``final`` is read.
    """
    specification = judge.dataset.specification
    if specification.reward_range is None or "reward_range" in specification.inferred or judge.units is not None:
        return None
    bets = [
        _exact_differences(judge.dataset, judge.evaluated, champion, candidate, judge.propensities_of)
        for candidate in candidates
    ]
    sizes = [
        _exact_differences(judge.dataset, selected, champion, candidate, judge.propensities_of)
        for candidate in candidates
    ]
    if any(bet is None for bet in bets) or any(size is None for size in sizes):
        return None
    return BoundedDifferences(
        np.stack([bet[0] for bet in bets if bet]),
        np.array([bet[1] for bet in bets if bet]),
        np.array([float(np.std(size[0], ddof=1)) for size in sizes if size]),
    )


def _exact_differences(
    dataset: Dataset,
    chosen: np.ndarray,
    champion: np.ndarray,
    candidate: np.ndarray,
    propensities: np.ndarray | None,
) -> tuple[np.ndarray, float] | None:
    """Unbiased differences with a declared bound, ``None`` where there is none for this log."""
    specification = dataset.specification
    assert specification.reward_range is not None
    low, high = specification.reward_range
    subset, of = dataset.select_episodes(chosen), chosen[dataset.episode_index]
    known = None if propensities is None else propensities[of]
    ours, theirs = (
        trajectories_from(subset, probabilities[dataset.rows[of]], propensities=known)
        for probabilities in (candidate, champion)
    )
    if specification.horizon == 1:
        floor = specification.explore / len(specification.actions)
        lowest = dataset.propensities[of].min()
        if not 0 < floor <= lowest:  # some policy of the log explored less: its weights have no declared bound
            return None
        return single_decision_difference(ours, theirs, (low, high), 1.0 / floor)
    if not np.allclose(theirs.log_ratios, 0.0):
        return None  # the champion is not the logger: no exact bound of the weights
    total = float(ours.discounts.sum())
    return logger_difference(ours, (min(low * total, low), max(high * total, high)))


def _model_estimate(tuned: TuneResult) -> Estimate | None:
    variant = tuned.recommendation
    if tuned.evidence != "model":
        return None
    return Estimate(
        value=variant.model_gain,
        lower=variant.model_gain,
        upper=float("inf"),
        confidence=0.0,
        estimator="models",
        effective_sample_size=0.0,
        units=0,
        evidence="model",
    )


def _planning(dataset: Dataset, specification: AgentSpecification) -> Planning:
    times = dataset.timestamps[np.isfinite(dataset.timestamps)]
    span = float(times.max() - times.min()) if len(times) else 0.0
    units = len(np.unique(dataset.units))
    return Planning(
        decisions_per_unit=len(dataset) / max(units, 1),
        units_per_second=units / span if span > 0 else None,
        explore=specification.explore,
    )
