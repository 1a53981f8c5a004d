"""Logs of the testbeds as datasets, many episodes at once, and the true returns of policies on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

import numpy as np

from envs.dataset import FINAL, TRAIN, Dataset
from envs.testbeds import optimization, scaling, self_healing, task_solving
from envs.testbeds.rollout import Probabilities, draw_actions, explored
from envs.testbeds.testbed import EXPLORE, TESTBEDS, Testbed

REWARDS: dict[str, Callable[[Mapping[str, np.ndarray]], np.ndarray]] = {
    "scaling": scaling.reward_of,
    "self-healing": self_healing.reward_of,
    "task-solving": task_solving.reward_of,
    "optimization": optimization.reward_of,
}


def eager_probabilities(rows: np.ndarray) -> np.ndarray:
    """A quicker autoscaler than the present rule, (N, 6): a yardstick, never a training target."""
    chosen = np.where(rows[:, 0] > 0.85, scaling.ACTIONS.index("up_35"), scaling.ACTIONS.index("hold"))
    return np.eye(len(scaling.ACTIONS))[np.where(rows[:, 0] < 0.4, scaling.ACTIONS.index("down_15"), chosen)]


AIMS: dict[str, Probabilities] = {
    "scaling": eager_probabilities,
    "self-healing": self_healing.diagnosing_probabilities,
    "task-solving": task_solving.matching_probabilities,
    "optimization": optimization.better_probabilities,
}


def draw_dataset(name: str, episodes: int, rng: np.random.Generator, *, fitted: int = 0) -> Dataset:
    """A log of the testbed's exploring rule; the first ``fitted`` episodes are ``train``, the others ``final``."""
    testbed = TESTBEDS[name]
    world, _ = testbed.draw(episodes, rng)
    logging = behaviour_of(testbed)
    columns: dict[str, list[np.ndarray]] = defaultdict(list)
    for _ in range(testbed.specification.horizon):
        rows = world.observe()
        columns["active"].append(world.active.copy())
        columns["observations"].append(rows)
        columns["allowed"].append(testbed.allowed_of(rows))
        columns["probabilities"].append(logging(rows))
        columns["actions"].append(draw_actions(columns["probabilities"][-1], rng))
        columns["rewards"].append(REWARDS[name](world.step(columns["actions"][-1])))
    last, terminated = world.observe(), ~world.active
    stacked = {key: np.stack(values, axis=1) for key, values in columns.items()}
    active = stacked["active"]
    lengths = active.sum(axis=1)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    decisions = int(offsets[-1])
    rows = np.arange(decisions) + np.repeat(np.arange(episodes), lengths)
    ends = offsets[1:] + np.arange(episodes)
    observations = np.empty((decisions + episodes, last.shape[1]))
    observations[rows], observations[ends] = stacked["observations"][active], last
    allowed = np.ones((decisions + episodes, stacked["allowed"].shape[2]), dtype=bool)
    allowed[rows] = stacked["allowed"][active]
    allowed[ends] = testbed.allowed_of(last)
    actions, probabilities = stacked["actions"][active], stacked["probabilities"][active]
    ended, cut = np.zeros(decisions, dtype=bool), np.zeros(decisions, dtype=bool)
    ended[offsets[1:] - 1], cut[offsets[1:] - 1] = terminated, ~terminated
    return Dataset(
        specification=testbed.specification,
        identifier=name,
        offsets=offsets,
        observations=observations,
        allowed=allowed,
        actions=actions,
        propensities=probabilities[np.arange(decisions), actions],
        action_probabilities=probabilities,
        root_probabilities=testbed.rule_probabilities(observations),
        rewards=stacked["rewards"][active],
        worst=np.zeros(decisions, dtype=bool),
        terminated=ended,
        truncated=cut,
        end_known=np.ones(episodes, dtype=bool),
        timestamps=np.full(decisions, np.nan),
        policy_versions=np.full(decisions, testbed.specification.rule_version),
        units=np.char.mod("%07d", np.arange(episodes)),
        splits=np.where(np.arange(episodes) < fitted, TRAIN, FINAL).astype(np.int8),
        sequences=offsets[1:] - 1,
    )


def behaviour_of(testbed: Testbed) -> Probabilities:
    """The policy that writes the testbed's log."""
    return explored(testbed.rule_probabilities, EXPLORE, testbed.allowed_of)


def mixed(first: Probabilities, second: Probabilities, step: float) -> Probabilities:
    """(1 - step) first + step second."""
    return lambda rows: (1.0 - step) * first(rows) + step * second(rows)


def step_of_overlap(dataset: Dataset, aim: np.ndarray, wanted: float) -> float:
    """The largest step towards ``aim`` (N, A) whose effective share of the dataset's episodes is ``wanted``."""
    taken = np.arange(len(dataset)), dataset.actions
    ratio = aim[taken] / dataset.propensities - 1.0
    below, above = 0.0, 1.0
    for _ in range(30):
        step = 0.5 * (below + above)
        weights = np.exp(np.add.reduceat(np.log1p(step * ratio), dataset.offsets[:-1]))
        below, above = (step, above) if weights.mean() ** 2 / np.mean(weights**2) >= wanted else (below, step)
    return below


def true_returns(name: str, policy: Probabilities, episodes: int, seed: int) -> np.ndarray:
    """Returns of fresh simulated episodes under a policy, (E,); the same seed draws the same episodes."""
    if name == "scaling":
        return scaling.true_returns(policy, logged=True, episodes=episodes, seed=seed)
    module = {"self-healing": self_healing, "task-solving": task_solving, "optimization": optimization}[name]
    return np.asarray(module.true_returns(policy, episodes=episodes, seed=seed))
