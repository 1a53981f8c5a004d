"""The small values that a policy is made of and that it gives."""

from __future__ import annotations

from dataclasses import dataclass

from algorithms.policy.components import Component
from envs.specification import Action


@dataclass(frozen=True, slots=True)
class BaseReference:
    """The user's own rule, under the version that the user declared for it."""

    version: str


@dataclass(frozen=True, slots=True)
class Layer:
    """One improvement and how far it is followed, 0 < step ≤ 1."""

    step: float
    component: Component


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy decided.

    Attributes:
        action: the drawn action.
        propensity: the probability with which it was drawn.
        probabilities: of all actions, 0 where not allowed.
        policy_version: which policy decided.
    """

    action: Action
    propensity: float
    probabilities: dict[Action, float]
    policy_version: str
