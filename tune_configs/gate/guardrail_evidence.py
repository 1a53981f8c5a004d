"""From a dataset's guardrail columns to paired differences: the return's estimator on another measure.

A sum, a mean and a maximum over an episode are each a telescoping sum of increments

    m_t = f(x_0 … x_t) - f(x_0 … x_{t-1}),   f the aggregate so far

and an increment depends on nothing later than its decision. So it is a reward like any other: the doubly
robust estimator with the weights up to t is unbiased for the episode's aggregate under the other policy.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from algorithms.ope.padding import censored, pad
from envs.dataset import Dataset
from envs.errors import DataError
from envs.guardrail import GuardrailSpecification
from envs.specification import INFORMATIVE
from tune_configs.gate.guardrails import Guardrail
from tune_configs.judge import BY_STATES, Judge


def increments(dataset: Dataset, values: np.ndarray, aggregate: str) -> np.ndarray:
    """What each decision adds to its episode's aggregate, float64 (N,); 0 from the horizon on.

    Args:
        dataset: the episodes.
        values: float64 (N,), the measure of each decision; NaN makes the rest of its episode NaN.
        aggregate: ``sum``, ``mean`` or ``max`` of the decisions up to the horizon.
    """
    if aggregate == "sum":
        return np.where(dataset.steps < dataset.specification.horizon, values, 0.0)
    padded = pad(dataset, values, dataset.specification.horizon)
    if aggregate == "mean":
        running = np.cumsum(padded, axis=1) / np.arange(1, padded.shape[1] + 1)
    else:
        running = np.maximum.accumulate(padded, axis=1)
    added = np.diff(running, axis=1, prepend=0.0)
    inside = dataset.steps < padded.shape[1]
    found = np.zeros(len(dataset))
    found[inside] = added[dataset.episode_index[inside], dataset.steps[inside]]
    return found


def unmeasured(dataset: Dataset, column: int) -> np.ndarray:
    """Episodes in which a decision up to the horizon does not tell the guardrail, bool (E,)."""
    counted = dataset.steps < dataset.specification.horizon
    missing = np.isnan(dataset.guardrails[:, column]) & counted
    return np.bincount(dataset.episode_index, missing, dataset.episode_count) > 0


def guardrail_refusal(dataset: Dataset, tested: np.ndarray, fitted: np.ndarray, grade: str = "A") -> str:
    """Why a declared guardrail cannot be tested, by its name, or an empty string.

    Args:
        dataset: the log.
        tested: bool (E,), the episodes that the gate would read.
        fitted: bool (E,), those that models are fitted on.
        grade: of the log.
    """
    cut = censored(dataset)
    for column, declared in enumerate(dataset.specification.guardrails):
        if grade == BY_STATES and declared.aggregate != "sum" and dataset.specification.horizon > 1:
            return (
                f"guardrail {declared.name} is the {declared.aggregate} of an episode, which marginal weights (grade "
                f"{BY_STATES}) cannot value: it hangs on more than the present state; declare its sum, or explore more"
            )
        missing = unmeasured(dataset, column)
        if (missing & tested).any():
            return (
                f"guardrail {declared.name} has no value in {int((missing & tested).sum()):,} of "
                f"{int(tested.sum()):,} final episodes ({declared.outcome!r} cannot be computed there): record the "
                "outcome, or declare what a missing one counts as (missing)"
            )
        if dataset.specification.censoring == INFORMATIVE and (cut & tested).any():
            return (
                f"guardrail {declared.name} is not known to the end in {int((cut & tested).sum()):,} of "
                f"{int(tested.sum()):,} final episodes, which were cut before the horizon (declare censoring = "
                '"random" where episodes are cut by chance)'
            )
        if not (fitted & ~missing).any():
            return f"guardrail {declared.name} has no value in any train or select episode"
    return ""


def guardrails_of(tested: Judge, untested: Judge | None, candidates: np.ndarray) -> tuple[Guardrail, ...]:
    """The declared guardrails with their paired differences, by the models and folds of the return.

    Args:
        tested: the judge of the final units.
        untested: the judge of other units; ``None`` for none.
        candidates: float64 (K, N + E, A).

    Raises:
        DataError: a value is missing that :func:`guardrail_refusal` would have named.
    """
    return tuple(
        _guardrail(declared, column, tested, untested, candidates)
        for column, declared in enumerate(tested.dataset.specification.guardrails)
    )


def _guardrail(
    declared: GuardrailSpecification, column: int, tested: Judge, untested: Judge | None, candidates: np.ndarray
) -> Guardrail:
    dataset = tested.dataset
    values = increments(dataset, dataset.guardrails[:, column], declared.aggregate)
    missing = unmeasured(dataset, column)
    judges = [tested]
    if untested is not None and not (missing & untested.evaluated).any():
        judges.append(untested)
    found, apart = [], []
    for judge in (_on(each, values, missing) for each in judges):
        differences, trajectories = judge.differences(candidates)
        found.append(declared.sign * differences)
        apart.append(declared.sign * judge.decoupled(trajectories))
    return Guardrail(
        declared.name,
        found[0],
        _margin(declared, dataset, values, ~missing & tested.fitted),
        reference=found[1] if len(found) > 1 else None,
        direction=declared.direction,
        decoupled=np.concatenate(apart, axis=1),
    )


def _on(judge: Judge, values: np.ndarray, missing: np.ndarray) -> Judge:
    """The same judge of another measure: undiscounted, without a declared range, fitted where it is known."""
    dataset = judge.dataset
    specification = replace(dataset.specification, reward_range=None, discount=1.0)
    return Judge(
        replace(dataset, rewards=values, specification=specification),
        judge.champion_probabilities,
        evaluated=judge.evaluated,
        fitted=judge.fitted & ~missing,
        folds=judge.folds,
        behavior=judge.behavior,
        seed=judge.seed,
        models={judge.first: judge.models[judge.first]},
        grade=judge.grade,
    )


def _margin(declared: GuardrailSpecification, dataset: Dataset, values: np.ndarray, known: np.ndarray) -> float:
    """The tolerated loss; a relative one is measured on train and select, so that it stands before final is read."""
    if declared.margin is not None:
        return declared.margin
    share = declared.relative_margin
    if share is None:
        share = 0.5 * dataset.specification.practical_effect
    if not known.any():
        raise DataError("has no value to measure its margin on", where=f"guardrail {declared.name}", remedy="record it")
    return share * abs(float(values[known[dataset.episode_index]].sum()) / int(known.sum()))
