"""The learner of the placebo: anchored tabular Q-learning on train, without RLlib."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from algorithms.anchor import fill_by_state
from algorithms.policy.mixing import add_floor
from algorithms.tabular_data import tabular_transitions, training_discount
from algorithms.tabular_solver import Transitions
from algorithms.tabular_sweep import Settings, begin, conclude, sweep
from envs.dataset import TRAIN, Dataset
from envs.discretization import default_discretizer, fit_discretizer

STEPS = (0.1, 0.25, 0.5, 1.0)
PESSIMISMS = (0.0, 1.0)
"""κ = 0 chases the noise of every cell, as an unlucky sweep may; 1 is the default of tabular Q-learning."""
CELLS = 96
MOST_SWEEPS = 60


class PlaceboLearner:
    """Learns variants of the champion from the rewards of one copy after another.

    Everything that no reward enters is prepared once: states, transitions, the champion at every row.

    Args:
        dataset: the log, or any of its copies with its ends.
        base: float64 (N + E, A), the champion without its floor; NaN at unknown ends.
        seed: of the cells.

    Attributes:
        states: int64 (N + E,), discrete state of every row, -1 where unknown.
        state_count: number of states.
    """

    def __init__(self, dataset: Dataset, base: np.ndarray, *, seed: int = 0) -> None:
        specification = dataset.specification
        train = dataset.splits == TRAIN
        of_train = np.repeat(train, dataset.lengths + 1)
        kind = "integer" if default_discretizer(specification.observation) == "integer" else "kmeans"
        encoder = fit_discretizer(
            kind, dataset.observations[of_train], specification.observation, resolution=CELLS, seed=seed
        )
        self.states, self.state_count = encoder.states(dataset.observations), encoder.count
        self._dataset, self._base = dataset, base
        self._discount = training_discount(specification)
        self._decisions = np.flatnonzero(train[dataset.episode_index])
        learned = dataset.select_episodes(train)
        anchored = fill_by_state(base[of_train], self.states[of_train], self.state_count)
        self._transitions, self._kept = tabular_transitions(learned, encoder, anchored, self._discount)

    def variants(self, rewards: np.ndarray) -> np.ndarray:
        """Probabilities (V, N + E, A) of steps towards what was learned from these rewards (N,), floors included."""
        transitions = replace(self._transitions, rewards=rewards[self._decisions][self._kept])
        found = []
        for pessimism in PESSIMISMS:
            learned = self._moved(self._learned(transitions, pessimism))
            found += [self._floored((1.0 - step) * self._base + step * learned) for step in STEPS]
        return np.stack(found)

    def _learned(self, transitions: Transitions, pessimism: float) -> np.ndarray:
        """Where the mass of each action moves in each state, int64 (Z, A)."""
        settings = Settings(
            discount=self._discount,
            anchored=True,
            pessimism=pessimism,
            floor=self._dataset.specification.explore,
        )
        solution = begin([transitions], settings)
        for _ in range(MOST_SWEEPS):
            solution = sweep([transitions], settings, solution)
            scale = 1.0 + float(np.abs(solution.values).max())
            if solution.changes == 0 and solution.residual <= 1e-3 * scale:
                break
        return conclude([transitions], settings, solution)[1]

    def _moved(self, moves: np.ndarray) -> np.ndarray:
        """The champion's mass moved at every row, float64 (N + E, A); a row of no state keeps it."""
        rows, actions = self._base.shape
        own = np.arange(actions)
        targets = np.where(self.states[:, None] >= 0, moves[self.states], own)
        targets = np.where(np.take_along_axis(self._dataset.allowed, targets, axis=1), targets, own)
        flat = (np.arange(rows)[:, None] * actions + targets).ravel()
        return np.bincount(flat, self._base.ravel(), rows * actions).reshape(rows, actions)

    def _floored(self, probabilities: np.ndarray) -> np.ndarray:
        return add_floor(probabilities, self._dataset.allowed, self._dataset.specification.explore)
