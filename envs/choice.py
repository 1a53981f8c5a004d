"""How an action was chosen: the allowed actions, their probabilities, and the propensity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from envs import values
from envs.values import UnfitValueError

# Logs round their probabilities; more than this is a contradiction, not a rounding.
PROBABILITY_TOLERANCE = 1e-3


def allowed_actions(value: Any) -> list[Any]:
    """The actions that could be requested: at least one, each once."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(value, (list, tuple, set, frozenset)) or not value:
        raise UnfitValueError(f"{values.shown(value)} is not an array of actions", "give at least one, or leave it out")
    ordered = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
    actions = [values.action(item) for item in ordered]
    if any(item in actions[:index] for index, item in enumerate(actions)):
        raise UnfitValueError("names an action twice", "name each allowed action once")
    return actions


def probabilities(value: Any) -> dict[str, float] | list[float]:
    """A distribution: an object by ``str(action)``, or an array in the declared order."""
    value = value.tolist() if hasattr(value, "tolist") else value
    out: dict[str, float] | list[float]
    if isinstance(value, Mapping) and value:
        # A null is an action that a columnar file has a slot for, but that was not available.
        out = {values.key(action): values.number(item) for action, item in value.items() if item is not None}
        numbers = list(out.values())
    elif isinstance(value, (list, tuple)) and len(value):
        out = numbers = [values.number(item) for item in value]
    else:
        raise UnfitValueError(f"{values.shown(value)} is no distribution", "give an object {action: probability}")
    outside = [item for item in numbers if not 0.0 <= item <= 1.0]
    if outside:
        raise UnfitValueError(f"{outside[0]:g} is outside [0, 1]", "give probabilities")
    if abs(math.fsum(numbers) - 1.0) > PROBABILITY_TOLERANCE:
        raise UnfitValueError(f"sum to {math.fsum(numbers):g}", "give probabilities of all actions, which sum to 1")
    return out


def check(out: dict[str, Any]) -> None:
    """Action, allowed actions, probabilities and propensity, all there or ``None``, must tell one story."""
    action, allowed = out["action"], out["allowed_actions"]
    if allowed is not None and action not in allowed:
        problem = f"{values.shown(action)} is not in allowed_actions"
        raise UnfitValueError(problem, "record the requested action, or correct allowed_actions", "action")
    propensity, probabilities = out["propensity"], out["action_probabilities"]
    if propensity is not None and (propensity <= 0.0 or (propensity > 1.0 and not isinstance(action, dict))):
        what = "a density above 0" if isinstance(action, dict) else "a probability in (0, 1]"
        raise UnfitValueError(
            f"{propensity:g} is not {what}", "record the probability of the action taken", "propensity"
        )
    if isinstance(probabilities, dict) and not isinstance(action, dict):
        _check_distribution(out, probabilities, str(action), allowed)


def _check_distribution(
    out: dict[str, Any], probabilities: dict[str, float], action: str, allowed: list[Any] | None
) -> None:
    chosen = probabilities.get(action, 0.0)
    if chosen <= 0.0:
        problem = f"give no probability to the action taken, {values.shown(action)}"
        raise UnfitValueError(problem, "record the distribution that the action was drawn from", "action_probabilities")
    if allowed is not None:
        names = {str(item) for item in allowed}
        for name, probability in probabilities.items():
            if probability > 0.0 and name not in names:
                problem = f"give {probability:g} to {values.shown(name)}, which is not allowed"
                raise UnfitValueError(problem, "mask before drawing", "action_probabilities")
    propensity = out["propensity"]
    if propensity is None:
        out["propensity"] = chosen
    elif not math.isclose(propensity, chosen, rel_tol=PROBABILITY_TOLERANCE, abs_tol=1e-6):
        problem = f"{propensity:g} differs from action_probabilities[{action!r}] = {chosen:g}"
        raise UnfitValueError(problem, "record one of them, or correct the other", "propensity")
