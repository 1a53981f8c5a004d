"""A learned decision process: a bootstrap ensemble of dynamics, reward and termination, less its disagreement.

The reward that is paid, with E members that predict from (row, action) the mean reward r_e (MOPO, Yu et al.
2020, with the members' disagreement as u where they take a predicted standard deviation):

    r_e(x, a) − c · u(x, a),   u² = Σ_j w_j Var_e [output_j],   e drawn anew at every step

Outputs are standardised: next numbers by their changes, classes as probabilities (w = 1 / fields each),
the reward by its spread and the probability of termination (w = 1 each); c is in units of the usual reward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from envs.dataset import Dataset
from envs.encoding import StandardFeatures
from envs.errors import DataError
from envs.offline.ensemble import Ensemble, Layout, fit_ensemble, resamples
from envs.offline.row_changes import RowChanges
from envs.usual_reward import usual_reward

COST = 1.0
"""Default cost."""
PROBED = 2000
"""Logged rows that are looked at for the smallest reward that is paid."""


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """The random numbers of one step of n episodes: uniform (n, U) and normal (n, M)."""

    uniforms: np.ndarray
    normals: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class LearnedModel:
    """A fitted process over raw rows (n, D).

    Attributes:
        encoder: features of rows.
        changes: how next rows are predicted.
        ensemble: (features, indicators of the action) to next row, reward and termination.
        masks: features to the probability that each action is allowed; ``None`` where all always are.
        logged: bool (A,), actions that were ever logged: no other is allowed.
        weights: float32 (O,), w above.
        reward: mean, standard deviation, smallest and largest of the logged rewards.
        penalty: c times the usual reward.
        masked_reward: what a masked action pays.
        starts: float64 (E', D), first rows of the logged episodes.
        start_masks: bool (E', A), allowed in them.
        decisions: float64 (N', D), rows at which a decision was logged.
        decision_masks: bool (N', A).
        horizon: decisions after which an episode is truncated.
    """

    encoder: StandardFeatures
    changes: RowChanges
    ensemble: Ensemble
    masks: Ensemble | None
    logged: np.ndarray
    weights: np.ndarray
    reward: tuple[float, float, float, float]
    penalty: float
    masked_reward: float
    starts: np.ndarray
    start_masks: np.ndarray
    decisions: np.ndarray
    decision_masks: np.ndarray
    horizon: int

    def draw(self, random: np.random.Generator, count: int) -> Draws:
        """What ``count`` episodes need for one step or start, in one go."""
        uniforms = random.random((count, 2 + self.changes.draws))
        return Draws(uniforms, random.standard_normal((count, len(self.changes.numbers))))

    def start(self, draws: Draws, *, anywhere: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Logged first rows (any logged decision's with ``anywhere``), float64 (n, D), and masks, bool (n, A)."""
        rows, masks = (self.decisions, self.decision_masks) if anywhere else (self.starts, self.start_masks)
        chosen = (draws.uniforms[:, 0] * len(rows)).astype(np.int64)
        return rows[chosen], masks[chosen]

    def predict(self, rows: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each member's standardised outputs, float32 (E, n, O), and their disagreement u, (n,)."""
        indicators = np.arange(len(self.logged)) == actions[:, None]
        outputs = self.ensemble.predict(np.hstack([self.encoder.features(rows), indicators]))
        return outputs, np.sqrt(outputs.var(axis=0) @ self.weights)

    def step(
        self, rows: np.ndarray, masks: np.ndarray, actions: np.ndarray, draws: Draws
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Rewards float64 (n,), next rows float64 (n, D), their masks bool (n, A) and terminations bool (n,).

        A masked action pays the worst and stays.
        """
        outputs, disagreement = self.predict(rows, actions)
        members = (draws.uniforms[:, 0] * len(outputs)).astype(np.int64)
        chosen = outputs[members, np.arange(len(rows))].astype(np.float64)
        place, last = _places(self.ensemble.layout)
        row = np.delete(chosen, [place, last], axis=1)
        after = self.changes.decode(rows, row, draws.uniforms[:, 2:], draws.normals)
        rewards = self._paid(chosen[:, place], disagreement)
        terminated = draws.uniforms[:, 1] < chosen[:, last]
        allowed = masks[np.arange(len(rows)), actions]
        after = np.where(allowed[:, None], after, rows)
        after_masks = np.where(allowed[:, None], self.allowed(after), masks)
        return np.where(allowed, rewards, self.masked_reward), after, after_masks, allowed & terminated

    def allowed(self, rows: np.ndarray) -> np.ndarray:
        """Predicted masks, bool (n, A): at least the most probable action."""
        if self.masks is None:
            return np.broadcast_to(self.logged, (len(rows), len(self.logged)))
        chances = np.where(self.logged, self.masks.predict(self.encoder.features(rows)).mean(axis=0), -1.0)
        return np.asarray(chances >= np.minimum(chances.max(axis=1, keepdims=True), 0.5))

    def _paid(self, standardised: np.ndarray, disagreement: np.ndarray) -> np.ndarray:
        mean, scale, smallest, largest = self.reward
        return np.clip(mean + scale * standardised, smallest, largest) - self.penalty * disagreement


def fit_model(
    dataset: Dataset,
    *,
    members: int = 5,
    hidden: int = 64,
    updates: int = 1000,
    cost: float = COST,
    horizon: int | None = None,
    seed: int = 0,
) -> LearnedModel:
    """Fit the ensemble, the masks and the residual noise to a dataset.

    Members are fitted on resamples of whole units. The noise of a number is the residual on the units that a
    member did not see. A next observation that is not known teaches nothing; its reward and termination do.

    Args:
        dataset: the log; features and scales are fitted on it.
        members: E, at least 2.
        hidden: units of each of the two hidden layers.
        updates: steps of the fit.
        cost: reward taken off where outputs disagree by their standard deviation, in units of the usual reward.
        horizon: the declared one by default.
        seed: of resamples, initial weights and batches.

    Raises:
        DataError: a setting out of its range, no transition can be learned, or no first observation is known.
    """
    where = f"agent {dataset.specification.name}"
    for name, value, least in (("members", members, 2), ("hidden", hidden, 1), ("updates", updates, 1)):
        if value < least:
            raise DataError(f"{name} is {value}", where=where, remedy=f"give {least} or more")
    if not (math.isfinite(cost) and cost >= 0.0):
        raise DataError(f"cost is {cost}", where=where, remedy="give 0 or more")
    random = np.random.default_rng(seed)
    observation = dataset.specification.observation
    encoder = StandardFeatures.fit(dataset.observations, observation)
    features = encoder.features(dataset.observations)
    known = np.isfinite(features).all(axis=1)
    decisions = np.flatnonzero(known[dataset.rows])
    rows = dataset.rows[decisions]
    ended = dataset.terminated[decisions] | (dataset.specification.horizon == 1)
    next_known = dataset.next_known[decisions] & known[rows + 1]
    first = dataset.rows[dataset.offsets[:-1]]
    first = first[known[first]]
    if not (ended | next_known).any() or not len(first):
        raise DataError("no decision has a known next observation", where=where, remedy="log next observations")
    here, following = dataset.observations[rows], dataset.observations[np.where(next_known, rows + 1, rows)]
    used = next_known if next_known.any() else ended
    changes = RowChanges.fit(here[used], following[used], encoder, observation)
    row = changes.layout
    layout = Layout(row.squares + 1, row.binaries + 1, row.classes)
    rewards, actions = dataset.rewards[decisions], dataset.actions[decisions]
    spread = float(rewards.std()) or 1.0
    coded = np.where(next_known[:, None], changes.encode(here, following), np.nan)
    targets = np.insert(coded, [row.squares, row.squares + row.binaries], np.nan, axis=1)
    targets[:, _places(layout)] = np.stack([(rewards - rewards.mean()) / spread, ended], axis=1)
    count = len(dataset.specification.actions)
    inputs = np.hstack([features[rows], np.arange(count) == actions[:, None]])
    times = resamples(dataset.units[dataset.episode_index[decisions]], members, random)
    ensemble = fit_ensemble(inputs, targets, layout, times, random, hidden=hidden, updates=updates)
    logged = np.bincount(actions, minlength=count) > 0
    masks = dataset.allowed & logged
    masks = np.where(masks.any(axis=1, keepdims=True), masks, logged)
    model = LearnedModel(
        encoder=encoder,
        changes=changes.with_noise(_noise(ensemble, inputs, coded[:, : len(changes.numbers)], times)),
        ensemble=ensemble,
        masks=_fit_masks(features[rows], dataset.allowed[rows], times, random, hidden, updates),
        logged=logged,
        weights=_weights(layout, observation.size, next_known.any() and dataset.specification.horizon > 1),
        reward=(float(rewards.mean()), spread, float(rewards.min()), float(rewards.max())),
        penalty=cost * usual_reward(rewards),
        masked_reward=0.0,
        starts=dataset.observations[first],
        start_masks=masks[first],
        decisions=here,
        decision_masks=masks[rows],
        horizon=dataset.specification.horizon if horizon is None else horizon,
    )
    return _with_worst(model, dataset, random)


def _places(layout: Layout) -> list[int]:
    """The outputs that are the reward and the probability of termination: the last number and the last binary."""
    return [layout.squares - 1, layout.squares + layout.binaries - 1]


def _noise(ensemble: Ensemble, inputs: np.ndarray, coded: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Root mean square of what members missed on rows (N, M) that they did not see, (M,); 0 where nothing is known."""
    unseen = times == 0 if (times == 0).any() else times > 0
    residuals = (ensemble.predict(inputs)[..., : coded.shape[1]] - coded)[unseen]
    known = np.isfinite(residuals)
    squared = np.where(known, residuals, 0.0) ** 2
    return np.asarray(np.sqrt(squared.sum(axis=0) / np.maximum(known.sum(axis=0), 1)))


def _fit_masks(
    features: np.ndarray, allowed: np.ndarray, times: np.ndarray, random: np.random.Generator, hidden: int, updates: int
) -> Ensemble | None:
    if allowed.all():
        return None
    layout = Layout(0, allowed.shape[1], ())
    return fit_ensemble(features, allowed, layout, times, random, hidden=hidden, updates=updates)


def _weights(layout: Layout, fields: int, lasting: bool) -> np.ndarray:
    """Weights of the outputs' variances; where there is never a next row, of reward and termination only."""
    weights = np.full(layout.size, 1.0 / fields if lasting else 0.0, dtype=np.float32)
    weights[_places(layout)] = 1.0
    return weights


def _with_worst(model: LearnedModel, dataset: Dataset, random: np.random.Generator) -> LearnedModel:
    """The model whose masked actions pay no more than anything allowed did where it was probed."""
    count, actions = min(PROBED, len(model.decisions)), np.flatnonzero(model.logged)
    rows = model.decisions[random.permutation(len(model.decisions))[:count]]
    outputs, disagreement = model.predict(np.repeat(rows, len(actions), axis=0), np.tile(actions, count))
    paid = model._paid(outputs[..., _places(model.ensemble.layout)[0]].min(axis=0).astype(np.float64), disagreement)
    declared = dataset.specification.reward_range
    worst = model.reward[2] if declared is None or not math.isfinite(declared[0]) else declared[0]
    return replace(model, masked_reward=min(worst, float(paid.min())))
