"""What every testbed must satisfy. Import it from any test of a testbed."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from hypothesis import strategies as st

from envs.expression import Expression
from envs.observation import ObservationField
from envs.testbeds.rollout import draw_actions, restricted


def observation_rows(testbed: ModuleType) -> st.SearchStrategy[np.ndarray]:
    """Raw rows that fit the declared observation, with extremes that no simulation draws."""

    def values(field: ObservationField) -> st.SearchStrategy[float]:
        if field.type == "category":
            return st.integers(0, len(field.categories) - 1).map(float)
        if field.type == "boolean":
            return st.booleans().map(float)
        low, high = (-100.0 if field.low is None else field.low), (100.0 if field.high is None else field.high)
        if field.type == "integer":
            return st.integers(int(low), int(high)).map(float)
        return st.floats(low, high) | st.floats(low, min(high, low + 1.0))

    return st.tuples(*(values(field) for field in testbed.OBSERVATION.fields)).map(np.array)


def rule_action(testbed: ModuleType, row: np.ndarray) -> int:
    """What the agent's own rule answers to the observation of a row."""
    name = testbed.specification().rule.partition(":")[2]
    return int(testbed.ACTIONS.index(getattr(testbed, name)(testbed.OBSERVATION.value(row))))


def walk(testbed: ModuleType, *, episodes: int, explore: float, seed: int) -> dict[str, Any]:
    """A simulated log with every declared promise checked on the way; columns are (E, H) and outcomes lists of (E,)."""
    rng = np.random.default_rng(seed)
    world = testbed.draw_world(episodes, rng=rng)
    specification = testbed.specification(explore)
    low, high = specification.reward_range
    rewards, active, outcomes = [], [], []
    for _ in range(testbed.HORIZON):
        rows, allowed = world.observe(), world.allowed()
        assert rows.shape == (episodes, testbed.OBSERVATION.size) and np.isfinite(rows).all()
        assert np.array_equal(allowed, testbed.allowed_of(rows)) and allowed.any(axis=1).all()
        probabilities = testbed.rule_probabilities(rows)
        assert not (probabilities * ~allowed).any(), "the rule requests what is not allowed"
        mixed = (1 - explore) * restricted(probabilities, allowed) + explore * allowed / allowed.sum(1, keepdims=True)
        active.append(world.active.copy())
        outcome = world.step(draw_actions(mixed, rng))
        reward = testbed.reward_of(outcome)
        assert reward.min() >= low and reward.max() <= high
        rewards.append(reward)
        outcomes.append(outcome)
    first = {name: float(values[0]) for name, values in outcomes[0].items()}
    assert Expression(specification.reward).evaluate(first) == np.float64(rewards[0][0])
    assert Expression(specification.worst_class).evaluate(first) in (0.0, 1.0)
    for row in world.observe():
        testbed.OBSERVATION.row(testbed.OBSERVATION.value(row))  # every declared range holds, or this raises
    return {"rewards": np.stack(rewards, 1), "active": np.stack(active, 1), "outcomes": outcomes, "world": world}
