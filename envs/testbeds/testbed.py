"""The four testbeds under one form: what writes their logs, and the only way to their truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from envs.specification import AgentSpecification
from envs.testbeds import optimization, scaling, self_healing, task_solving
from envs.testbeds.rollout import Probabilities, World

EXPLORE = 0.2
"""Share of the logged decisions that are drawn uniformly from the allowed actions."""


@dataclass(frozen=True, slots=True)
class Testbed:
    """A simulated agent.

    Attributes:
        specification: its declaration.
        rule: its present rule, observation to action.
        rule_probabilities: the rule on raw rows (E, D), as probabilities (E, A).
        allowed_of: the actions that raw rows allow, bool (E, A).
        interval: minutes between two decisions of an episode.
        draw: E fresh episodes that may be logged, with the tenant of each.
        returns: true returns of a policy on fresh episodes of the kind that is logged, float64 (E,).
        unseen_returns: the same on a kind that is never logged; ``None`` where there is none.
    """

    specification: AgentSpecification
    rule: Callable[[Mapping[str, Any]], str]
    rule_probabilities: Probabilities
    allowed_of: Callable[[np.ndarray], np.ndarray]
    interval: float
    draw: Callable[[int, np.random.Generator], tuple[World, Sequence[str]]]
    returns: Callable[[Probabilities], np.ndarray]
    unseen_returns: Callable[[Probabilities], np.ndarray] | None = None


def _drawn(draw: Callable[..., World]) -> Callable[[int, np.random.Generator], tuple[World, Sequence[str]]]:
    return lambda count, rng: (draw(count, rng=rng), ("default",) * count)


def _scaling_days(count: int, rng: np.random.Generator) -> tuple[World, Sequence[str]]:
    world = scaling.draw_world(count, logged=True, rng=rng)
    return world, tuple(map(str, world.episodes.tenants))


TESTBEDS: dict[str, Testbed] = {
    "scaling": Testbed(
        scaling.specification(EXPLORE),
        scaling.threshold_rule,
        scaling.rule_probabilities,
        scaling.allowed_of,
        scaling.INTERVAL,
        _scaling_days,
        partial(scaling.true_returns, logged=True),
        partial(scaling.true_returns, logged=False),
    ),
    # The damage of an incident varies so much that a policy's truth takes more of them.
    "self-healing": Testbed(
        self_healing.specification(EXPLORE),
        self_healing.runbook_rule,
        self_healing.rule_probabilities,
        self_healing.allowed_of,
        self_healing.INTERVAL,
        _drawn(self_healing.draw_world),
        partial(self_healing.true_returns, episodes=20_000),
    ),
    "task-solving": Testbed(
        task_solving.specification(EXPLORE),
        task_solving.least_loaded_rule,
        task_solving.rule_probabilities,
        task_solving.allowed_of,
        60.0 * task_solving.INTERVAL,
        _drawn(task_solving.draw_world),
        task_solving.true_returns,
    ),
    "optimization": Testbed(
        optimization.specification(EXPLORE),
        optimization.band_rule,
        optimization.rule_probabilities,
        optimization.allowed_of,
        optimization.INTERVAL,
        _drawn(optimization.draw_world),
        optimization.true_returns,
    ),
}
"""Name of the agent to its testbed, in the order in which the demo shows them."""
