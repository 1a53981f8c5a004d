"""The user's own rule as a distribution over the declared actions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from envs.errors import RecordError
from envs.observation import ObservationSpecification

Rule = Callable[[Any], Any]
SUM_TOLERANCE = 1e-6


def distribution(answer: Any, actions: Sequence[Any], index: Mapping[Any, int] | None = None) -> list[float]:
    """What a rule answered, an action or ``{action: probability}``, as probabilities in action order.

    Args:
        answer: the rule's answer.
        actions: the declared actions.
        index: position of each action, where the caller has it ready.

    Raises:
        RecordError: an undeclared action, or probabilities that are negative or do not sum to 1.
    """
    positions = {action: position for position, action in enumerate(actions)} if index is None else index
    out = [0.0] * len(actions)
    if isinstance(answer, Mapping):
        for action, probability in answer.items():
            try:
                number = float(probability)
            except (TypeError, ValueError):
                number = math.nan
            if not 0.0 <= number <= 1.0 + SUM_TOLERANCE:  # a sum of shares may round to a little more than 1
                raise _error(f"the rule gave {action!r} the probability {probability!r}", actions)
            out[_position(action, positions, actions)] += number
        total = math.fsum(out)
        if abs(total - 1.0) > SUM_TOLERANCE:
            raise _error(f"the rule's probabilities sum to {total:g}", actions)
        return [number / total for number in out] if total != 1.0 else out
    out[_position(answer, positions, actions)] = 1.0
    return out


def rule_probabilities(
    rule: Rule, specification: ObservationSpecification, actions: Sequence[Any], rows: np.ndarray
) -> np.ndarray:
    """The rule's probabilities on raw rows, calling it once a row with the observation the row stands for.

    Args:
        rule: observation to action or to ``{action: probability}``.
        specification: what a raw row (D,) stands for.
        actions: the declared actions, in the order of the columns.
        rows: float64 (N, D); a row of NaN alone (an unknown end) gives NaN.

    Returns:
        float64 (N, A).

    Raises:
        RecordError: the rule answered something that is not a distribution over the actions.
    """
    index = {action: position for position, action in enumerate(actions)}
    out = np.full((len(rows), len(actions)), np.nan)
    for number in np.flatnonzero(~np.isnan(rows).all(axis=1)):
        out[number] = distribution(rule(specification.value(rows[number])), actions, index)
    return out


def _position(action: Any, positions: Mapping[Any, int], actions: Sequence[Any]) -> int:
    try:
        return positions[action]
    except (KeyError, TypeError):
        raise _error(f"the rule answered {action!r}, which is not a declared action", actions) from None


def _error(problem: str, actions: Sequence[Any]) -> RecordError:
    shown = ", ".join(map(str, actions[:8])) + (", …" if len(actions) > 8 else "")
    return RecordError(problem, field="action", remedy=f"answer one of {shown}, or probabilities of them")
