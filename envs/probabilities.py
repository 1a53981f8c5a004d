"""Logged and recomputed action probabilities as rows in the declared order of the actions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from envs.errors import DataError, RecordError
from envs.record import DecisionRecord
from envs.specification import AgentSpecification

# Logs round their probabilities; more than this is no distribution.
ROUNDING = 1e-3


def distribution(
    probabilities: Mapping[str, float] | Sequence[float],
    names: Mapping[str, int],
    where: str,
    field: str = "action_probabilities",
) -> np.ndarray:
    """A distribution over the declared actions, float64 (A,), summing to 1 exactly.

    Args:
        probabilities: by the action's name, or in the declared order.
        names: position of each action by its name as text.
        where: the place that an error names.
        field: the field that an error names.

    Raises:
        RecordError: an undeclared action, a wrong number of entries, or no distribution.
    """
    out = np.zeros(len(names))
    if isinstance(probabilities, Mapping):
        for name, probability in probabilities.items():
            position = names.get(str(name))
            if position is None:
                if probability == 0.0:
                    continue
                remedy = f"declared are {', '.join(names)}"
                raise RecordError(f"{name!r} is not a declared action", field=field, where=where, remedy=remedy)
            out[position] = probability
    elif len(probabilities) != len(names):
        problem = f"has {len(probabilities)} entries for {len(names)} declared actions"
        raise RecordError(problem, field=field, where=where, remedy="give one for each action in the declared order")
    else:
        out[:] = probabilities
    total = float(out.sum())
    if not math.isfinite(total) or (out < 0.0).any() or abs(total - 1.0) > ROUNDING:
        raise RecordError(f"{out.tolist()} is no distribution", field=field, where=where, remedy="let them sum to 1")
    return out / total


def unfloored(probabilities: np.ndarray, allowed: np.ndarray, explore: float) -> np.ndarray:
    """The bare rule's probabilities under a uniform exploration floor: (p - ε / |allowed|) / (1 - ε).

    Args:
        probabilities: float64 (M, A), with the floor.
        allowed: bool (M, A).
        explore: ε, the share of decisions taken uniformly at random.

    Returns:
        float64 (M, A); NaN rows where ``probabilities`` cannot have had this floor.
    """
    if explore >= 1.0:
        return np.full(probabilities.shape, np.nan)
    floor = explore * allowed / np.maximum(allowed.sum(axis=1, keepdims=True), 1)
    bare = (probabilities - floor) / (1.0 - explore)
    wrong = ~(bare >= -1e-6).all(axis=1)
    bare = np.clip(bare, 0.0, None)
    bare /= np.maximum(bare.sum(axis=1, keepdims=True), 1e-12)
    bare[wrong] = np.nan
    return np.asarray(bare)


def root_rows(
    specification: AgentSpecification,
    records: Sequence[DecisionRecord],
    decision_rows: np.ndarray,
    observations: np.ndarray,
    rule: Callable[[Any], Any] | None,
) -> np.ndarray:
    """The bare rule's probabilities at each row, float64 (N + E, A), NaN where not known.

    Args:
        specification: the agent's declaration.
        records: the N decisions.
        decision_rows: their rows, int64 (N,).
        observations: raw rows, (N + E, D).
        rule: asked at every known row where given; else what the records' metadata keep is used.

    Raises:
        DataError: the rule fails, or answers with no declared action.
        RecordError: ``metadata.root_probabilities`` is no distribution.
    """
    names = {str(action): index for index, action in enumerate(specification.actions)}
    out = np.full((len(observations), len(names)), np.nan)
    if rule is not None:
        for index, row in enumerate(observations):
            if not np.isnan(row).all():
                out[index] = _asked(rule, specification.observation.value(row), names, specification)
        return out
    for index, record in zip(decision_rows, records, strict=True):
        known = record.metadata.get("root_probabilities")
        if known is not None:
            where = f"agent {record.agent}, event {record.event_id}"
            try:
                out[index] = distribution(known, names, where, "metadata.root_probabilities")
            except RecordError as error:
                error.event_id = record.event_id
                raise
    return out


def _asked(
    rule: Callable[[Any], Any], observation: Any, names: Mapping[str, int], specification: AgentSpecification
) -> np.ndarray:
    where = f"agent {specification.name}, rule {specification.rule or specification.rule_version}"
    try:
        answer = rule(observation)
    except Exception as error:  # the user's own code may raise anything
        raise DataError(
            f"failed with {type(error).__name__}: {error} at {observation!r}"[:300].replace("\n", " "),
            where=where,
            remedy="let the rule answer every observation of the log",
        ) from None
    try:
        if isinstance(answer, Mapping):
            return distribution(answer, names, where, "answer")
        out = np.zeros(len(names))
        out[specification.action_index(answer)] = 1.0
        return out
    except (RecordError, TypeError, ValueError) as error:
        problem = error.problem if isinstance(error, RecordError) else str(error)
        raise DataError(
            f"{problem} (at {observation!r})"[:300], where=where, remedy="let the rule answer with declared actions"
        ) from None
