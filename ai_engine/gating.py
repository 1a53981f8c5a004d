"""From an agent's final units to the gate's answer: who is judged, on what, and what the look used up."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ai_engine.tune_result import TuneResult
from ai_engine.workspace import Workspace
from algorithms.ope.estimate import Estimate
from algorithms.policy import Policy
from envs.card import DataCard
from envs.card.advice import credible_times
from envs.card.carry_over import carry_over
from envs.card.evidence import CERTAIN
from envs.card.history import history_test
from envs.dataset import Dataset
from tune_configs.gate.decision import decide
from tune_configs.gate.evidence import Sides, fresh_final, gate_request
from tune_configs.gate.foresight import Shortage, foreseen_shortage
from tune_configs.gate.guardrail_evidence import guardrail_refusal
from tune_configs.gate.request import CANARY, KEEP, REFUSED, GateDecision, GateRequest, Needs, Planning
from tune_configs.gate.tail import TailEvidence
from tune_configs.judge import BY_STATES, episodes_in, overlap_rule
from tune_configs.recommendation import models_contradicted
from tune_configs.trial import unlogged_behavior


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What the gate is asked.

    Attributes:
        champion: the present champion.
        versions: the finalists, best first.
        tuned: the sweep that chose them.
        since: journal position from which ``select`` was read by it.
        forbidden: why no gate may read anything now (such as a failed placebo), or empty.
        least_power: how often the look must show a gain as large as on ``select``, or it is not spent.
    """

    champion: Policy
    versions: list[str]
    tuned: TuneResult
    since: int
    forbidden: str = ""
    least_power: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a look found.

    Attributes:
        decision: the decision.
        units: final units that were read.
        final_sequence: journal position up to which they are used.
        certain_shares: per finalist the share of decisions with a choice that it leaves to no chance; empty where
            nobody was judged.
    """

    decision: GateDecision
    units: int
    final_sequence: int
    certain_shares: tuple[float, ...] = ()


def ask(workspace: Workspace, question: Question) -> Answer:
    """Judge the finalists on final units newer than the last look."""
    registry, specification = workspace.registry, workspace.specification
    looks = registry.looks(workspace.name)
    finalists = [registry.version(workspace.name, version) for version in question.versions]
    dataset, (champion, *candidates) = workspace.with_known_ends(question.champion, *finalists)
    newest = int(dataset.sequences.max(initial=0))
    card, look = workspace.card(), looks.count + 1
    grade, unproven = card.grade, _unproven(card)
    planning = planning_of(dataset, card)
    model = _model_estimate(question.tuned)
    if question.forbidden:
        return Answer(_refusal(question.forbidden, look), 0, newest)
    if not candidates:
        without = _without_finalists(question.tuned, unproven, look, specification.minimum_gain, model)
        return Answer(_checked(without, dataset), 0, newest)
    sides = Sides(
        tested=fresh_final(dataset, looks.final_sequence),
        selected=episodes_in(dataset, "select") & (dataset.sequences > question.since),
        fitted=episodes_in(dataset, "train", "select"),
    )
    units = len(np.unique(dataset.units[sides.tested]))
    variants = question.tuned.variants
    judged = [each.gain for each in variants if each.version.rpartition("@")[2] in question.versions]
    shortage = foreseen_shortage(
        judged,
        units,
        overlap_rule(grade),
        look,
        minimum_gain=specification.minimum_gain,
        least_power=question.least_power,
    )
    if unproven or shortage:
        unpaid = decide(_unpaid(len(finalists), grade, look, shortage, planning))
        if unproven:  # exploration is no remedy for records that are wrong themselves
            unpaid = replace(unpaid, reason=unproven, needs=unpaid.needs if card.exploration_advice else Needs())
        return Answer(unpaid, 0, newest)
    refusal = _carried_over(dataset) or guardrail_refusal(dataset, sides.tested, sides.fitted, grade)
    if refusal:
        return Answer(_refusal(refusal, look), 0, newest)
    request = gate_request(
        dataset,
        champion,
        np.stack(candidates),
        sides,
        grade=grade,
        look=look,
        behavior=unlogged_behavior(dataset),
        planning=planning,
        model_estimate=model,
        barred=_barred(grade, dataset, len(candidates)),
    )
    certain_shares = tuple(_certain_share(dataset, each) for each in candidates)
    return Answer(_checked(decide(request), dataset), request.differences.shape[1], newest, certain_shares)


def planning_of(dataset: Dataset, card: DataCard) -> Planning:
    """The log's rate and its exploration: as the propensities show it, as it is declared where none are logged."""
    times = credible_times(dataset)
    span = float(times.max() - times.min()) if len(times) else 0.0
    units = len(np.unique(dataset.units))
    return Planning(
        decisions_per_unit=len(dataset) / max(units, 1),
        units_per_second=units / span if span > 0 else None,
        explore=float(card.figures.get("exploration_share", dataset.specification.explore)),
    )


def _certain_share(dataset: Dataset, probabilities: np.ndarray) -> float:
    """Share of the decisions with a choice that a policy leaves to no chance, in the states of this log."""
    choices = dataset.rows[dataset.allowed[dataset.rows].sum(axis=1) > 1]
    return float((probabilities[choices].max(axis=1) >= CERTAIN).mean()) if len(choices) else 0.0


def _unproven(card: DataCard) -> str:
    """Why a log proves nothing and what would help, or an empty string."""
    if card.grade not in ("C", "D"):
        return ""
    why = next(finding for finding in card.findings if finding.severity == "error")
    return f"the log is grade {card.grade}: {why.sentence}; {why.remedy}"


def _refusal(reason: str, look: int) -> GateDecision:
    return GateDecision(REFUSED, reason, None, "", (), 0.0, look, Needs())


def _carried_over(dataset: Dataset) -> str:
    """Why a gain by the episode is not the gain of a promotion, or an empty string."""
    found = carry_over(dataset.split("train", "select"))
    if not found.found:
        return ""
    unit = dataset.specification.unit
    return f"{found.sentence(str(dataset.specification.actions[found.action]))}: declare the {unit} as the episode"


def _barred(grade: str, dataset: Dataset, count: int) -> tuple[str, ...]:
    """Why marginal weights prove none of so many finalists, each the same; empty where whole trajectories have overlap.

    What grade A-M rests on takes the observation for the state, which the log must not contradict.
    """
    if grade != BY_STATES:
        return ()
    test = history_test(dataset.split("train", "select"))
    return () if test.shows_states else (f"the history test bars it: {test.sentence}",) * count


def _checked(decision: GateDecision, dataset: Dataset) -> GateDecision:
    """A live test on a model's word is refused where the log contradicts what every model assumes."""
    if decision.decision != CANARY or decision.winner is not None:
        return decision
    test = history_test(dataset.split("train", "select"))
    if not test.failed:
        return decision
    reason = f"only a model speaks for it, and the history test bars the model: {test.sentence}"
    return replace(decision, decision=REFUSED, reason=reason)


def _without_finalists(
    tuned: TuneResult, unproven: str, look: int, minimum_gain: float, model: Estimate | None
) -> GateDecision:
    """No variant may be tested: at most a live test on a model's word, where the log's actions are not certain.

    Variants that the log reaches and that lose say nothing of one that it does not, unless they contradict the models.
    """
    if unproven:
        return _refusal(unproven, look)
    reached = [variant for variant in tuned.variants if variant.gain.usable]
    contradicted = models_contradicted(reached)
    if model is not None and model.lower > minimum_gain and not contradicted:
        reason = f"only a model speaks for it (gain {model.lower:.4g}): a live test may start, nothing is promoted"
        return GateDecision(CANARY, reason, None, "", (), 0.0, look, Needs())
    if reached:
        reason = "no variant that the log reaches gains on select"
        if model is not None and contradicted:
            reason += ", which contradicts the models that speak for another"
        return GateDecision(KEEP, reason, None, "", (), 0.0, look, Needs())
    return _refusal("no variant has overlap", look)


def _unpaid(count: int, grade: str, look: int, shortage: Shortage | None, planning: Planning) -> GateRequest:
    """The request of a look that is not spent; nothing of the final units is read."""
    return GateRequest(
        differences=np.zeros((count, 0)),
        effective_sample_sizes=np.zeros(count),
        tail=TailEvidence(returns=np.zeros(0)),
        grade=grade,
        look=look,
        overlap=overlap_rule(grade),
        practical_effect=1.0,
        unpaid=shortage.reason if shortage else "",
        lacking=shortage.lacking if shortage else None,
        planning=planning,
    )


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
