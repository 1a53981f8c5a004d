"""A learned model as a simulation of many policies at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from algorithms.cloning_fit import fit_network, initial_network
from algorithms.policy.mixing import restrict
from algorithms.policy.network import Network
from algorithms.population_returns import Situations, draw, known_base
from envs.dataset import Dataset
from envs.encoding import StandardFeatures
from envs.offline.learned_model import Draws, LearnedModel

HIDDEN, UPDATES, BATCH, RATE, DECAY = 64, 1500, 256, 0.003, 0.01
"""Of the network that stands for the base."""


class LearnedSimulation:
    """States are raw rows (n · P, D) and their masks (n · P, A).

    The model leads to rows that nobody logged, where only a rule itself knows what it does: a network that was
    fitted to the base at the logged rows stands for it.

    Args:
        dataset: the log.
        model: fitted to it.
        encoder: of the features that policies decide on.
        relative: whether policies improve a base.
        champion: artefact file of that base; ``None`` means the bare rule.

    Raises:
        DataError: the base is needed and not known anywhere.
    """

    def __init__(
        self,
        dataset: Dataset,
        model: LearnedModel,
        encoder: StandardFeatures,
        *,
        relative: bool,
        champion: str | Path | None,
    ) -> None:
        self.model, self.encoder = model, encoder
        self.horizon, self.discount = model.horizon, dataset.specification.discount
        self._base = _clone(dataset, known_base(dataset, champion), model.encoder) if relative else None

    def start(self, random: np.random.Generator, episodes: int, policies: int) -> tuple[np.ndarray, np.ndarray]:
        """Logged first rows and masks."""
        rows, masks = self.model.start(self._draws(random, episodes, policies))
        return rows, masks

    def situations(self, states: tuple[np.ndarray, np.ndarray]) -> Situations:
        """Features, mask and base of rows."""
        rows, masks = states
        base = None if self._base is None else np.cumsum(self._base(rows, None, masks), axis=1)
        return Situations(self.encoder.features(rows), masks, base)

    def step(
        self, states: tuple[np.ndarray, np.ndarray], actions: np.ndarray, random: np.random.Generator, policies: int
    ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray]:
        """What a drawn member predicts."""
        draws = self._draws(random, len(actions) // policies, policies)
        rewards, rows, masks, terminated = self.model.step(*states, actions, draws)
        return rewards, (rows, masks), terminated

    def _draws(self, random: np.random.Generator, episodes: int, policies: int) -> Draws:
        drawn = self.model.draw(random, episodes)
        return Draws(np.tile(drawn.uniforms, (policies, 1)), np.tile(drawn.normals, (policies, 1)))


def _clone(dataset: Dataset, base: np.ndarray, encoder: StandardFeatures) -> Network:
    """A network of the base's own draws at the logged rows."""
    random = np.random.default_rng(0)
    rows = dataset.rows[~np.isnan(base[dataset.rows]).any(axis=1)]
    allowed = dataset.allowed[rows]
    drawn = draw(np.cumsum(restrict(base[rows], allowed), axis=1), random.random(len(rows)))
    fitted, _ = fit_network(
        initial_network(random, (encoder.size, HIDDEN, base.shape[1])),
        encoder.features(dataset.observations[rows]),
        drawn,
        None if allowed.all() else allowed,
        random,
        updates=UPDATES,
        batch_size=BATCH,
        learning_rate=RATE,
        weight_decay=DECAY,
    )
    return Network(encoder, fitted.weights)
