"""A Q table as a policy artefact, and back.

The table and its counts lie under ``provenance.training`` of the artefact, as arrays of exact bytes: one
file, sealed by its SHA-256, is both what is deployed and what learning goes on from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.policy.arrays import array_from_json, array_to_json
from algorithms.policy.artefact import policy_from_bytes
from algorithms.policy.components import ProbabilityTable
from algorithms.policy.parts import Layer
from algorithms.policy.policy import Policy
from algorithms.policy.provenance import Provenance
from envs.encoding.states import IntegerStates
from envs.errors import ArtefactError
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import Action

ALGORITHM = "q_learning"


@dataclass(frozen=True, slots=True, eq=False)
class QTable:
    """What a model file holds.

    Attributes:
        agent: whose policy it is.
        actions: what the A actions are called.
        explore: exploration floor of the policy.
        values: Q, float64 (Z, A).
        counts: updates of each entry, int64 (Z, A).
        settings: of the trainer, by name.
        statistics: of the last training.
    """

    agent: str
    actions: tuple[Action, ...]
    explore: float
    values: np.ndarray
    counts: np.ndarray
    settings: Mapping[str, Any]
    statistics: Mapping[str, Any]


def table_policy(table: QTable) -> Policy:
    """The policy that takes the best action tried in a state, uniform where none was, with the floor."""
    states, actions = table.values.shape
    tried = table.counts > 0
    uncertain = np.asarray(~tried.any(axis=1))
    greedy = np.eye(actions)[np.where(tried, table.values, -np.inf).argmax(axis=1)]
    uniform = np.full(actions, 1.0 / actions)
    greedy[uncertain] = uniform
    updates = int(table.counts.sum())
    training: dict[str, Any] = {
        "updates": updates,
        "statistics": dict(table.statistics),
        "q_values": array_to_json(table.values),
        "counts": array_to_json(table.counts),
    }
    return Policy(
        agent=table.agent,
        version=f"{ALGORITHM}-{updates}",
        observation=ObservationSpecification("int", (ObservationField("state", "integer", 0.0, float(states - 1)),)),
        actions=table.actions,
        explore=table.explore,
        layers=(Layer(1.0, ProbabilityTable(IntegerStates(np.arange(states)), greedy, uniform, uncertain)),),
        provenance=Provenance(
            algorithm=ALGORITHM,
            hyperparameters=dict(table.settings),
            training=training,
            note="no gate has judged it",
        ),
    )


def read_table(path: str | os.PathLike[str]) -> QTable:
    """The table of a file whose policy :func:`table_policy` made.

    Raises:
        ArtefactError: no such file, a damaged one, or one without a Q table.
    """
    where = os.fspath(path)
    try:
        policy = policy_from_bytes(Path(path).read_bytes(), where=where)
    except OSError as error:
        raise ArtefactError(
            f"cannot be read ({error.strerror})", where=where, remedy="give the path of a saved model"
        ) from None
    kept = policy.provenance
    if kept.algorithm != ALGORITHM or not {"q_values", "counts"} <= set(kept.training):
        raise ArtefactError("holds no Q table", where=where, remedy="give a file that QLearningTrainer saved")
    values = array_from_json(kept.training["q_values"], "q_values", dimensions=2, kind="f")
    counts = array_from_json(kept.training["counts"], "counts", dimensions=2, kind="i")
    return QTable(
        agent=policy.agent,
        actions=policy.actions,
        explore=policy.explore,
        values=values.astype(np.float64),  # copies: stored arrays are read-only
        counts=counts.astype(np.int64),
        settings=kept.hyperparameters,
        statistics=kept.training.get("statistics", {}),
    )
