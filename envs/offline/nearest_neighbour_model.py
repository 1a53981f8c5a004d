"""A decision process over logged rows: what an action does is what it did at the nearest logged decisions.

The deep averager with costs (DAC-MDP, Shrestha et al. 2021) without a learned representation. Its law at
(row x, action a), over the K nearest logged decisions i of action a (definition 1 there, actions discrete):

    reward = mean_i [ r_i − c d(x, x_i) ],     next row = that after decision i, each with probability 1 / K

All is looked up in tables: a state is a row of the dataset's (N + E) arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from envs.dataset import Dataset
from envs.encoding import StandardFeatures
from envs.errors import DataError
from envs.offline.neighbours import nearest
from envs.usual_reward import usual_reward

COST = 0.3
"""Default cost. Measured on 833 episodes of the scaling testbed, K = 5: the optimised policy's value inside was −6.0 at
cost 0, −9.8 at 0.3, −17.0 at 1; what it was truly worth −7.8, −7.8, −8.2. In noisy linear worlds 0
was too high by more; 0.3 was somewhat too low with two features, still too high with six."""


@dataclass(frozen=True, slots=True, eq=False)
class NearestNeighbourModel:
    """Tables of R = N + E rows, A actions and K neighbours.

    Attributes:
        rewards: float64 (R, A, K), what each draw pays, its cost taken off.
        next_rows: int32 (R, A, K).
        terminated: bool (R, A, K).
        distances: float32 (R, A, K), to each neighbour, in units of :attr:`unit_distance`.
        counts: int64 (A,), neighbours that an action has: K, or fewer where it was logged less often.
        mask: bool (R, A), allowed in the row, and logged somewhere.
        states: int64 (R,), number of the row's observation: rows with the same one share it.
        starts: int64 (E',), first rows of the logged episodes.
        decisions: int64 (N',), rows at which a decision was logged.
        unit_distance: the usual distance of a decision to the next one of its action.
        unit_reward: the usual size of a reward.
        horizon: decisions after which an episode is truncated.
        discount: the declared discount.
    """

    rewards: np.ndarray
    next_rows: np.ndarray
    terminated: np.ndarray
    distances: np.ndarray
    counts: np.ndarray
    mask: np.ndarray
    states: np.ndarray
    starts: np.ndarray
    decisions: np.ndarray
    unit_distance: float
    unit_reward: float
    horizon: int
    discount: float

    def start(self, uniforms: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Rows drawn from ``rows``, by default the logged first ones, int64 (n,), by uniform numbers (n,)."""
        chosen = self.starts if rows is None else rows
        return np.asarray(chosen[(uniforms * len(chosen)).astype(np.int64)])

    def step(
        self, rows: np.ndarray, actions: np.ndarray, uniforms: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rewards float64, next rows int64 and terminations bool, each (n,), by uniform numbers (n,)."""
        _, action_count, neighbours = self.rewards.shape
        cells = (rows * action_count + actions) * neighbours + (uniforms * self.counts[actions]).astype(np.int64)
        return (
            self.rewards.reshape(-1)[cells],
            self.next_rows.reshape(-1)[cells].astype(np.int64),
            self.terminated.reshape(-1)[cells],
        )

    def action_values(self, next_values: np.ndarray, discount: float) -> np.ndarray:
        """Exact one-step look-ahead Q (R, A) of row values (R,)."""
        weights = (np.arange(self.rewards.shape[2]) < self.counts[:, None]) / self.counts[:, None]
        targets = self.rewards + discount * np.where(self.terminated, 0.0, next_values[self.next_rows])
        return np.asarray(np.einsum("rak,ak->ra", targets, weights))

    def evaluate(self, policy: np.ndarray, *, horizon: int | None = None, discount: float | None = None) -> np.ndarray:
        """Exact expected return from each row, float64 (R,), by backward induction over the horizon.

        Args:
            policy: probabilities (R, A).
            horizon: number of decisions; that of the model by default.
            discount: discount per decision; the declared one by default.
        """
        gamma = self.discount if discount is None else discount
        values = np.zeros(len(self.mask))
        for _ in range(self.horizon if horizon is None else horizon):
            values = (policy * self.action_values(values, gamma)).sum(axis=1)
        return values

    def optimise(self, *, horizon: int | None = None, discount: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """A policy optimised inside the model by decisions left, (H, R) int64, and its values (R,).

        ``policy[0]`` decides with H decisions left. Rows with the same observation decide together, by their
        mean look-ahead: an agent cannot tell them apart. Its value inside is optimistic about itself; what it
        is worth outside must be tested elsewhere.
        """
        gamma = self.discount if discount is None else discount
        sizes = np.bincount(self.states)[:, None]
        values = np.zeros(len(self.mask))
        policy = []
        for _ in range(self.horizon if horizon is None else horizon):
            table = self.action_values(values, gamma)
            means = np.stack([np.bincount(self.states, column) for column in table.T], axis=1) / sizes
            policy.append(np.where(self.mask, means[self.states], -np.inf).argmax(axis=1))
            values = np.take_along_axis(table, policy[-1][:, None], axis=1)[:, 0]
        return np.array(policy[::-1]), values

    def start_value(self, values: np.ndarray) -> float:
        """Mean of row values over the logged first rows."""
        return float(values[self.starts].mean())


def build_neighbours(
    dataset: Dataset, *, neighbours: int = 5, cost: float = COST, horizon: int | None = None, seed: int = 0
) -> NearestNeighbourModel:
    """The nearest-neighbour model of a dataset.

    A decision whose next observation is not known is no neighbour, unless it terminated; with a declared
    horizon of one decision each terminates. A decision is a neighbour of its own row: left out
    (cost 0, K = 5, noisy linear worlds), the optimised policy's true value and its optimism moved by 2 % or less.

    Args:
        dataset: the log; features are fitted on it.
        neighbours: K, at least 1.
        cost: reward taken off at the usual distance, in units of the usual reward, and in proportion elsewhere.
        horizon: the declared one by default.
        seed: breaks ties between neighbours at the same distance.

    Raises:
        DataError: a setting out of its range, no transition can be learned, or no first observation is known.
    """
    where = f"agent {dataset.specification.name}"
    if neighbours < 1:
        raise DataError(f"neighbours is {neighbours}", where=where, remedy="give 1 or more")
    if not (math.isfinite(cost) and cost >= 0.0):
        raise DataError(f"cost is {cost}", where=where, remedy="give 0 or more")
    encoder = StandardFeatures.fit(dataset.observations, dataset.specification.observation)
    features = encoder.features(dataset.observations)
    known = np.isfinite(features).all(axis=1)
    rows = dataset.rows
    ended = dataset.terminated | (dataset.specification.horizon == 1)
    next_known = dataset.next_known & known[rows + 1]
    candidates = np.flatnonzero(known[rows] & (ended | next_known))
    if not len(candidates):
        raise DataError("no decision has a known next observation", where=where, remedy="log next observations")
    starts = rows[dataset.offsets[:-1]]
    starts = starts[known[starts]]
    if not len(starts):
        raise DataError("no first observation is known", where=where, remedy="log observations")
    logged = np.bincount(dataset.actions[candidates], minlength=len(dataset.specification.actions)) > 0
    mask = dataset.allowed & logged
    mask = np.where(mask.any(axis=1, keepdims=True), mask, logged)
    chosen, distances, counts, unit_distance = _neighbours(dataset, features, candidates, neighbours, seed)
    distances /= unit_distance
    unit_reward = usual_reward(dataset.rewards)
    rewards = dataset.rewards[chosen] - cost * unit_reward * distances
    blocked = ~mask[:, :, None]
    following = np.where(next_known, rows + 1, rows)[chosen]
    return NearestNeighbourModel(
        rewards=np.where(blocked, min(_worst(dataset), float(rewards.min())), rewards),
        next_rows=np.where(blocked, np.arange(len(features))[:, None, None], following).astype(np.int32),
        terminated=~blocked & ended[chosen],
        distances=distances.astype(np.float32),
        counts=counts,
        mask=mask,
        states=np.unique(features, axis=0, return_inverse=True)[1].reshape(-1),
        starts=starts,
        decisions=rows[known[rows]],
        unit_distance=unit_distance,
        unit_reward=unit_reward,
        horizon=dataset.specification.horizon if horizon is None else horizon,
        discount=dataset.specification.discount,
    )


def _neighbours(
    dataset: Dataset, features: np.ndarray, candidates: np.ndarray, neighbours: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Decisions and distances (R, A, K) of each pair's neighbours, their number (A,), and the usual distance."""
    random = np.random.default_rng(seed)
    features = np.nan_to_num(features)  # rows that are not known are never reached
    rows, actions = dataset.rows, len(dataset.specification.actions)
    chosen = np.full((len(features), actions, neighbours), candidates[0])
    distances = np.zeros(chosen.shape)
    counts = np.ones(actions, dtype=np.int64)
    gaps = [np.empty(0)]
    for action in range(actions):
        members = candidates[dataset.actions[candidates] == action]
        if not len(members):
            continue
        own = np.full(len(features), -1)
        own[rows[members]] = np.arange(len(members))
        counts[action] = count = min(neighbours, len(members))
        # Two at least: the second of a decision's own row tells how far the next decision is.
        found, gap = nearest(features[rows[members]], features, own, min(max(count, 2), len(members)), random)
        chosen[:, action, :count], distances[:, action, :count] = members[found[:, :count]], gap[:, :count]
        gaps.append(gap[rows[members], 1:2].ravel())
    for values in (np.concatenate(gaps), distances):
        # Where most decisions are alike, as in a log of few distinct states: over those that differ.
        for part in (values, values[values > 0.0]):
            if part.size and (median := float(np.median(part))) > 0.0:
                return chosen, distances, counts, median
    return chosen, distances, counts, 1.0


def _worst(dataset: Dataset) -> float:
    declared, smallest = dataset.specification.reward_range, float(dataset.rewards.min())
    return declared[0] if declared is not None and math.isfinite(declared[0]) else smallest
