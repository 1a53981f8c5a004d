"""What a search in a model of a log is truly worth: on the optimization testbed, whose truth can be simulated."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from algorithms.registry import configuration
from envs.dataset import Dataset
from envs.testbeds import optimization as testbed
from envs.testbeds.rollout import draw_actions


def log(episodes: int, seed: int) -> Dataset:
    """A simulated log of the present rule with its exploration."""
    random = np.random.default_rng(seed)
    world, horizon, behaviour = testbed.draw_world(episodes, rng=random), testbed.HORIZON, testbed.exploring()
    rows, chances, actions, rewards = [], [], [], []
    for _ in range(horizon):
        rows.append(world.observe())
        chances.append(behaviour(rows[-1]))
        actions.append(draw_actions(chances[-1], random))
        rewards.append(testbed.reward_of(world.step(actions[-1])))
    rows.append(world.observe())
    observations = np.stack(rows, axis=1).reshape(-1, testbed.OBSERVATION.size)
    probabilities = np.stack(chances, axis=1).reshape(-1, len(testbed.ACTIONS))
    taken, decisions = np.stack(actions, axis=1).ravel(), episodes * horizon
    none = np.zeros(decisions, dtype=bool)
    return Dataset(
        specification=testbed.specification(),
        identifier=hashlib.sha256(observations.tobytes()).hexdigest(),
        offsets=np.arange(episodes + 1) * horizon,
        observations=observations,
        allowed=testbed.allowed_of(observations),
        actions=taken,
        propensities=probabilities[np.arange(decisions), taken],
        action_probabilities=probabilities,
        root_probabilities=testbed.rule_probabilities(observations),
        rewards=np.stack(rewards, axis=1).ravel(),
        worst=none,
        terminated=none,
        truncated=np.arange(decisions) % horizon == horizon - 1,
        end_known=np.ones(episodes, dtype=bool),
        timestamps=np.full(decisions, np.nan),
        policy_versions=np.full(decisions, "band-1"),
        units=np.array([f"service-{index}" for index in range(episodes)]),
        splits=np.zeros(episodes, dtype=np.int8),
        sequences=np.arange(episodes),
    )


@pytest.mark.full
@pytest.mark.parametrize("seed", range(3))
def test_the_default_search_truly_improves_the_rule(seed: int) -> None:
    algorithm = configuration("evolution", seed=seed).offline(dataset=log(1250, 10 + seed)).build_algo()
    for _ in range(12):
        algorithm.train()
    component = algorithm.export_component()

    def value(step: float) -> float:
        def served(rows: np.ndarray) -> np.ndarray:
            base, mask = testbed.rule_probabilities(rows), testbed.allowed_of(rows)
            mixed = (1.0 - step) * base + step * component(rows, base, mask)
            return (1.0 - testbed.EXPLORE) * mixed + testbed.EXPLORE / mixed.shape[1]

        return float(testbed.true_returns(served, episodes=2000, seed=1).mean())

    rule = value(0.0)
    assert value(0.25) > rule + 0.2 and value(1.0) > rule + 0.6
