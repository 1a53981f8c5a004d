"""Where a policy network begins: at a clone of the policy that wrote the log, or of the one that is to be improved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.anchor import base_probabilities
from algorithms.cloning_fit import Weights, fit_network, initial_network
from algorithms.policy.mixing import add_floor, restrict
from algorithms.rollouts import draw_actions
from envs.dataset import Dataset
from envs.errors import DataError

BATCH, RATE, DECAY = 256, 0.003, 0.01


def cloned_network(
    dataset: Dataset,
    encoder: Any,
    random: np.random.Generator,
    *,
    hidden: Sequence[int],
    activation: str,
    updates: int,
    champion: str | Path | None = None,
    of_log: bool = True,
) -> Weights:
    """Weights of a softmax network that has learned a policy at the log's decisions, by their cross entropy.

    Args:
        dataset: the log.
        encoder: gives the features of raw rows.
        random: draws weights, batches, and actions of a champion.
        hidden: sizes of the hidden layers.
        activation: ``tanh`` or ``relu``.
        updates: Adam steps.
        champion: artefact file of the policy that is to be improved; ``None`` means the agent's bare rule.
        of_log: clone the requested actions; else the champion with the agent's exploration floor, wherever the
            log knows its probabilities.

    Raises:
        DataError: the champion is to be cloned and is not known anywhere.
    """
    rows, actions = dataset.rows, dataset.actions
    if not of_log:
        rows, actions = _of_champion(dataset, champion, random)
    allowed = dataset.allowed[rows]
    fitted, _ = fit_network(
        initial_network(random, (encoder.size, *hidden, allowed.shape[1])),
        encoder.features(dataset.observations[rows]),
        actions,
        None if allowed.all() else allowed,
        random,
        updates=updates,
        batch_size=BATCH,
        learning_rate=RATE,
        weight_decay=DECAY,
        activation=activation,
    )
    return fitted.weights


def _of_champion(
    dataset: Dataset, champion: str | Path | None, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows at which the champion is known, and actions drawn from it."""
    base = base_probabilities(dataset, champion)[dataset.rows]
    known = np.isfinite(base).all(axis=1)
    if not known.any():
        raise DataError(
            "the policy to improve is not known at any decision",
            where=f"agent {dataset.specification.name}",
            remedy='declare rule = "module:function", record through Agent, or use clone_of="log"',
        )
    rows = dataset.rows[known]
    allowed = dataset.allowed[rows]
    served = add_floor(restrict(base[known], allowed), allowed, dataset.specification.explore)
    return rows, draw_actions(served, random.random(len(rows)))
