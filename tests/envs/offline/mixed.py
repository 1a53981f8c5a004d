"""A log whose rows hold an optional number, a boolean, a category and an integer, with masks that vary."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from envs.dataset import Dataset
from envs.observation import ObservationField, ObservationSpecification
from tests.envs.offline.continuous import LinearWorld, uniform

FIELDS = (
    ObservationField("load", optional=True),
    ObservationField("open", "boolean"),
    ObservationField("kind", "category", categories=("red", "green", "blue")),
    ObservationField("level", "integer", low=0),
)


def mixed_log(episodes: int, seed: int = 0) -> Dataset:
    """Episodes of five decisions: ``load`` is missing in 30 %, ``open`` says whether the last action was 1,
    ``kind`` turns round, ``level`` counts up to 6; action 2 is allowed where ``open``, and pays ``level``.
    """
    random = np.random.default_rng(seed)
    dataset = LinearWorld(horizon=5, ends=False).log(uniform, episodes, seed)
    rows = np.empty((6 * episodes, 4))
    rows[:, 0] = np.where(random.random(len(rows)) < 0.3, np.nan, random.normal(size=len(rows)))
    allowed, actions, rewards = np.ones((len(rows), 3), dtype=bool), dataset.actions.copy(), dataset.rewards.copy()
    rows[::6, 1:] = np.stack([random.integers(limit, size=episodes) for limit in (2, 3, 3)], axis=1)
    for step in range(5):
        here, decisions = rows[step::6], np.arange(step, len(actions), 5)
        allowed[step::6, 2] = here[:, 1] == 1.0
        blocked = (actions[decisions] == 2) & (here[:, 1] == 0.0)
        actions[decisions] = np.where(blocked, decisions % 2, actions[decisions])
        rewards[decisions] = np.where(actions[decisions] == 2, here[:, 3], 0.0)
        following = [actions[decisions] == 1, (here[:, 2] + 1) % 3, np.minimum(here[:, 3] + 1, 6)]
        rows[step + 1 :: 6, 1:] = np.stack(following, axis=1)
    specification = replace(
        dataset.specification, observation=ObservationSpecification("object", FIELDS), reward_range=(0.0, 6.0)
    )
    return replace(
        dataset, specification=specification, observations=rows, allowed=allowed, actions=actions, rewards=rewards
    )
