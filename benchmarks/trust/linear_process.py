"""Logs of any size of a noisy linear process whose rewards are no linear function of it."""

from __future__ import annotations

import numpy as np

from algorithms.ope.row_features import by_blocks
from benchmarks.trust.worlds import turns
from envs.dataset import Dataset
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification

ACTIONS, FIELDS = 3, 4
END = 0.02
"""Chance that an episode ends with a decision."""
EXPLORE = 0.4
LOGGED_SLOPE = 1.0
EPISODES_AT_ONCE = 50_000


def policy(rows: np.ndarray, slope: float) -> np.ndarray:
    """Probabilities (n, A) at raw rows (n, D): a softmax of the first field, explored."""
    logits = slope * rows[:, :1] * np.linspace(-1.0, 1.0, ACTIONS)
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (1.0 - EXPLORE) * chances / chances.sum(axis=1, keepdims=True) + EXPLORE / ACTIONS


def policies(dataset: Dataset, slopes: np.ndarray) -> np.ndarray:
    """Policies of these slopes at all rows, float64 (P, N + E, A)."""
    found = np.empty((len(slopes), len(dataset.observations), ACTIONS))
    for index, slope in enumerate(slopes):
        found[index] = by_blocks(lambda rows, slope=slope: policy(rows, slope), dataset.observations)
    return found


def log(decisions: int, horizon: int, *, seed: int = 0) -> Dataset:
    """A log of about so many decisions of the policy of slope 1."""
    mean = (1.0 - (1.0 - END) ** horizon) / END
    random, parts, left = np.random.default_rng(seed), [], round(decisions / mean)
    while left > 0:
        parts.append(_draw(min(left, EPISODES_AT_ONCE), horizon, random))
        left -= EPISODES_AT_ONCE
    column = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    del parts
    lengths = column["lengths"]
    episodes, offsets = len(lengths), np.concatenate([[0], np.cumsum(lengths)])
    count = int(offsets[-1])
    rows = np.arange(count) + np.repeat(np.arange(episodes), lengths)
    probabilities = by_blocks(lambda raw: policy(raw, LOGGED_SLOPE), column["observations"])[rows]
    terminated, truncated = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    terminated[offsets[1:] - 1], truncated[offsets[1:] - 1] = column["terminated"], ~column["terminated"]
    specification = AgentSpecification(
        "process",
        ObservationSpecification("vector", tuple(ObservationField(f"x{index}") for index in range(FIELDS))),
        tuple(f"a{index}" for index in range(ACTIONS)),
        reward_range=(-100.0, 5.0),
        horizon=horizon,
    )
    return Dataset(
        specification=specification,
        identifier="process",
        offsets=offsets,
        observations=column["observations"],
        allowed=np.ones((count + episodes, ACTIONS), dtype=bool),
        actions=column["actions"],
        propensities=probabilities[np.arange(count), column["actions"]],
        action_probabilities=probabilities,
        root_probabilities=np.full((count + episodes, ACTIONS), np.nan),
        rewards=column["rewards"],
        worst=np.zeros(count, dtype=bool),
        terminated=terminated,
        truncated=truncated,
        end_known=np.ones(episodes, dtype=bool),
        timestamps=np.full(count, np.nan),
        policy_versions=np.full(count, "rule-1"),
        units=np.char.mod("%07d", np.arange(episodes)),
        splits=turns(episodes),
        sequences=offsets[1:] - 1,
    )


def _draw(episodes: int, horizon: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Flat columns of some episodes; actions push the first field up or down, rewards pull it to 0."""
    rows = np.empty((episodes, horizon + 1, FIELDS))
    actions, rewards = np.empty((episodes, horizon), dtype=np.int64), np.empty((episodes, horizon))
    rows[:, 0] = random.standard_normal((episodes, FIELDS))
    for step in range(horizon):
        edges = policy(rows[:, step], LOGGED_SLOPE).cumsum(axis=1)
        actions[:, step] = (random.random((episodes, 1)) > edges[:, :-1]).sum(axis=1)
        push = 0.4 * (actions[:, step] - 1.0)
        rewards[:, step] = -np.square(rows[:, step, 0] + push) + 0.3 * random.standard_normal(episodes)
        rows[:, step + 1] = 0.7 * rows[:, step] + 0.5 * random.standard_normal((episodes, FIELDS))
        rows[:, step + 1, 0] += push
    ends = random.random((episodes, horizon)) < END
    lengths = np.where(ends.any(axis=1), ends.argmax(axis=1) + 1, horizon)
    active = np.arange(horizon + 1) < lengths[:, None] + 1
    return {
        "observations": rows[active],
        "actions": actions[active[:, 1:]],
        "rewards": rewards[active[:, 1:]],
        "lengths": lengths,
        "terminated": ends[np.arange(episodes), lengths - 1],
    }
