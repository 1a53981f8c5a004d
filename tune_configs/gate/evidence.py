"""From episodes to the gate's request: paired differences, weights, tails and bounds of the finalists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from algorithms.ope.estimate import Estimate
from algorithms.ope.intervals import unit_any, unit_log_weights, unit_values
from algorithms.ope.marginalized_importance_sampling import marginal_weights
from algorithms.ope.padding import censored, pad, trajectories_from, unbounded_rest
from algorithms.ope.state_action_models import StateActionModel
from algorithms.ope.support import NEGLIGIBLE, support_refusal, undrawn_refusal, unsupported_difference
from algorithms.ope.trajectories import Trajectories
from envs.dataset import FINAL, Dataset
from envs.specification import INFORMATIVE, RANDOM
from tune_configs.gate.betting import BoundedDifferences, logger_difference, single_decision_difference
from tune_configs.gate.guardrail_evidence import guardrails_of
from tune_configs.gate.request import GateRequest, Planning
from tune_configs.gate.scarcity import scarce_action
from tune_configs.gate.tail import TailEvidence
from tune_configs.judge import FOLDS, Judge, overlap_rule


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Which episodes do what in one gate, bool (E,) each; no tested unit is among the others.

    Attributes:
        tested: final episodes that no gate has read.
        selected: select episodes that chose the finalists, for spread and critical value.
        fitted: train and select episodes, the selected among them; models for the tested ones are fitted on them.
    """

    tested: np.ndarray
    selected: np.ndarray
    fitted: np.ndarray


def fresh_final(dataset: Dataset, used: int) -> np.ndarray:
    """Final episodes of units of which no gate has read anything, bool (E,).

    A day or a tenant that was read in part at the last look is no new unit.

    Args:
        dataset: the log.
        used: journal position up to which final episodes were read.
    """
    final = dataset.splits == FINAL
    read = np.unique(dataset.units[final & (dataset.sequences <= used)])
    return np.asarray(final & ~np.isin(dataset.units, read))


def gate_request(
    dataset: Dataset,
    champion: np.ndarray,
    candidates: np.ndarray,
    sides: Sides,
    *,
    grade: str,
    look: int,
    behavior: np.ndarray | None = None,
    planning: Planning | None = None,
    model_estimate: Estimate | None = None,
    barred: tuple[str, ...] = (),
    models: Mapping[str, StateActionModel] | None = None,
    folds: int = FOLDS,
) -> GateRequest:
    """What the gate is asked of K finalists.

    Args:
        dataset: the log, unknown ends marked.
        champion: float64 (N + E, A), the champion's probabilities, floor included.
        candidates: float64 (K, N + E, A), the finalists', floors included.
        sides: who is tested, and on whom models are fitted.
        grade: of the log.
        look: number of this gate in the agent's life.
        behavior: float64 (N, A), the estimated behaviour policy where the log has no propensities.
        planning: the log's rate.
        model_estimate: model-based gain of the recommendation.
        barred: per finalist why it cannot be proven, or empty.
        models: model classes of all rows, where they are there already.
        folds: cross-fitting folds of the numbers on ``selected``; 0 fits them on the other fitted episodes alone.
    """
    tested = Judge(
        dataset,
        champion,
        evaluated=sides.tested,
        fitted=sides.fitted,
        folds=0,
        behavior=behavior,
        models=models,
        grade=grade,
    )
    differences, trajectories = tested.differences(candidates)
    untested = None
    if sides.selected.any():
        untested = Judge(
            dataset,
            champion,
            evaluated=sides.selected,
            fitted=sides.fitted & ~sides.selected,
            folds=folds,
            behavior=behavior,
            models=models,
            grade=grade,
        )
    reference, decoupled = None, tested.decoupled(trajectories)
    if untested is not None:
        reference, others = untested.differences(candidates)
        decoupled = np.concatenate([decoupled, untested.decoupled(others)], axis=1)
    specification = dataset.specification
    cut = int(censored(tested.subset).sum()) if specification.censoring == INFORMATIVE else 0
    unbounded = unbounded_rest(tested.subset) or _lost_in_cuts(dataset, tested)
    base = tested.champion[tested.first][0]
    beyond = [
        support_refusal(unsupported_difference(each, base), estimated=behavior is not None) for each in trajectories
    ]
    returns = unit_values(base.returns, tested.units)
    champions = min(tested.reach(base), (float(len(returns)), 0.0))
    reached = [min(tested.reach(each), champions) for each in trajectories]
    rule, known = overlap_rule(grade), barred or ("",) * len(candidates)
    undrawn = [
        "" if tested.marginal or rule.refusal(effective, len(returns)) else _undrawn(each, base, tested.units)
        for each, (effective, _) in zip(trajectories, reached, strict=True)
    ]
    barred = tuple(
        reason or unbounded or unsupported or own
        for reason, unsupported, own in zip(known, beyond, undrawn, strict=True)
    )
    return GateRequest(
        differences=differences,
        effective_sample_sizes=np.array([effective for effective, _ in reached]),
        effective_errors=np.array([error for _, error in reached]),
        tail=_tail(tested, trajectories, returns),
        grade=grade,
        look=look,
        practical_effect=max(specification.practical_effect * abs(float(returns.mean())), 1e-12),
        reference=reference,
        decoupled=decoupled,
        minimum_gain=specification.minimum_gain,
        bounded=None if any(beyond) else _bounded(tested, champion, candidates, sides),
        guardrails=guardrails_of(tested, untested, candidates),
        barred=barred,
        cut=cut,
        model_estimate=model_estimate,
        overlap=rule,
        estimated=behavior is not None,
        planning=planning or Planning(),
        scarce=() if tested.marginal else tuple(scarce_action(tested.subset, each) for each in trajectories),
    )


def _undrawn(candidate: Trajectories, champion: Trajectories, units: np.ndarray | None) -> str:
    """Why the effective sizes of the two are not to be believed, or an empty string."""
    of_champion = undrawn_refusal(champion, units)
    return f"champion: {of_champion}" if of_champion else undrawn_refusal(candidate, units)


def _lost_in_cuts(dataset: Dataset, judge: Judge) -> str:
    """Why marginal weights prove nothing where what came after cuts by chance is not known, or an empty string.

    Models learn from the decisions after which it is known, and an end always is: they believe in too many ends, and no
    weight for cuts corrects them. Of 60 logs with 35 % of the decisions cut, 47 showed a gain of a policy that loses.
    """
    blind = censored(dataset) & ~dataset.end_known
    if not judge.marginal or dataset.specification.censoring != RANDOM or blind.mean() <= NEGLIGIBLE:
        return ""
    return (
        f"{int(blind.sum()):,} of {len(blind):,} episodes were cut with nothing known of what came after the last "
        "decision, which marginal weights cannot weigh for (record next_observation there, or explore more)"
    )


def _tail(judge: Judge, trajectories: list[Trajectories], returns: np.ndarray) -> TailEvidence:
    specification = judge.dataset.specification
    if not specification.worst_class:
        bounds = specification.declared_range
        width = 0.0 if bounds is None else bounds[1] - bounds[0]
        base = judge.champion[judge.first][0]
        usual = float((base.active * base.discounts).sum(axis=1).mean())
        return TailEvidence(returns=returns, declared=width * usual)
    worst = np.asarray(pad(judge.subset, judge.subset.worst, specification.horizon), dtype=bool)
    by_unit = unit_any(np.asarray(worst.any(axis=1)), judge.units)
    weights = [np.exp(unit_log_weights(_log_weights(judge, each, worst), judge.units)) for each in trajectories]
    return TailEvidence(returns=returns, worst=by_unit, weights=np.stack(weights))


def _log_weights(judge: Judge, trajectories: Trajectories, worst: np.ndarray) -> np.ndarray:
    """Log weight of each episode (E,); a marginal one is that with which its worst outcome counts, else its mean."""
    if not judge.marginal:
        return np.asarray(trajectories.log_ratios.sum(axis=1))
    weights, active = marginal_weights(trajectories), trajectories.active
    at_worst = np.where(worst & active, weights, 0.0).max(axis=1)
    mean = weights.sum(axis=1) / np.maximum(active.sum(axis=1), 1)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.where((worst & active).any(axis=1), at_worst, mean)))


def _bounded(judge: Judge, champion: np.ndarray, candidates: np.ndarray, sides: Sides) -> BoundedDifferences | None:
    """Differences of the finite-sample leg; only where bounds are declared and the unit is the episode.

    Their spread, which sizes the bets, is measured on ``selected``: the bets stand before ``final`` is read.
    """
    specification = judge.dataset.specification
    if specification.declared_range is None or judge.units is not None:
        return None
    if sides.selected.sum() < 2:
        return None
    found: list[tuple[np.ndarray, float, float]] = []
    for candidate in candidates:
        tested = _exact_differences(judge, sides.tested, champion, candidate)
        selected = _exact_differences(judge, sides.selected, champion, candidate)
        if tested is None or selected is None:
            return None
        found.append((*tested, float(np.std(selected[0], ddof=1))))
    return BoundedDifferences(
        np.stack([differences for differences, _, _ in found]),
        np.array([bound for _, bound, _ in found]),
        np.array([deviation for _, _, deviation in found]),
    )


def _exact_differences(
    judge: Judge, chosen: np.ndarray, champion: np.ndarray, candidate: np.ndarray
) -> tuple[np.ndarray, float] | None:
    """Unbiased differences with a declared bound, ``None`` where there is none for this log."""
    dataset = judge.dataset
    specification = dataset.specification
    assert specification.reward_range is not None
    low, high = specification.reward_range
    subset, of = dataset.select_episodes(chosen), chosen[dataset.episode_index]
    behavior = None if judge.behavior is None else judge.behavior[of]
    ours, theirs = (
        trajectories_from(subset, probabilities[dataset.rows[of]], behavior=behavior)
        for probabilities in (candidate, champion)
    )
    if ours.rest is None and censored(subset).any():
        return None  # what was cut off by chance is weighed for, with estimated chances
    if np.allclose(theirs.log_ratios, 0.0):  # the champion wrote the log: its weights are 1, whatever is drawn
        total = float(ours.discounts.sum())
        return logger_difference(ours, (min(low * total, low), max(high * total, high)))
    floor = specification.explore / len(specification.actions)
    if specification.horizon > 1 or not 0 < floor <= dataset.propensities[of].min():
        return None  # no exact bound of a product, or some policy of the log explored less than is declared
    return single_decision_difference(ours, theirs, (low, high), 1.0 / floor)
