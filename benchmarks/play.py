"""Plays a policy greedily in an environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym

from ai_engine.deploy import load_policy

SEED = 10_000


def greedy_return(
    path: Path, environment_name: str, episodes: int, *, observe: Callable[[Any], Any], act: Callable[[Any], int]
) -> float:
    """Mean return of a policy's greedy decisions.

    Args:
        path: the artefact.
        environment_name: id for ``gymnasium.make``.
        episodes: number of episodes, each from a seed of its own.
        observe: from the environment's observation to the policy's.
        act: from the policy's action to the environment's.
    """
    policy = load_policy(path)
    environment = gym.make(environment_name)
    total = 0.0
    for episode in range(episodes):
        state, _ = environment.reset(seed=SEED + episode)
        done = False
        while not done:
            state, reward, terminated, truncated, _ = environment.step(
                act(policy.act(observe(state), greedy=True).action)
            )
            total += float(reward)
            done = terminated or truncated
    return total / episodes
