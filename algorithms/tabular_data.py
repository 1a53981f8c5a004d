"""From a dataset to what the tabular solver reads: discount, states, transitions, the base at the next row, halves."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.anchor import base_probabilities, fill_by_state
from algorithms.tabular_solver import Transitions
from envs.dataset import Dataset
from envs.encoding import IntegerStates
from envs.errors import DataError, SpecificationError
from envs.observation import ObservationSpecification
from envs.specification import AgentSpecification
from envs.transitions import discrete_transitions

MAXIMUM_DECLARED_STATES = 1_000_000


def training_discount(specification: AgentSpecification, declared: float | None = None) -> float:
    """The γ that is trained with.

    ``declared`` where given. Else 0 for a horizon of one decision, the agent's own discount where it is
    below 1, and 1 − 1/H within [0.9, 0.99] for an undiscounted return over H decisions (a table has no clock:
    this γ looks about as far ahead as the horizon reaches).
    """
    if declared is not None:
        return declared
    if specification.horizon <= 1:
        return 0.0
    if specification.discount < 1.0:
        return specification.discount
    return float(np.clip(1.0 - 1.0 / specification.horizon, 0.9, 0.99))


def declared_states(discretizer: str, observation: ObservationSpecification) -> IntegerStates:
    """Every declared integer as a state, logged or not: what a completed model speaks of.

    Raises:
        SpecificationError: the observation is not an integer, or its range is not declared or too long.
    """
    if discretizer != "integer" or observation.kind != "int":
        raise SpecificationError("needs integer states", where="completion 'nearest'", remedy="use completion='none'")
    field = observation.fields[0]
    if field.low is None or field.high is None or field.high - field.low >= MAXIMUM_DECLARED_STATES:
        raise SpecificationError(
            f"needs the range of {field.name!r}, of at most {MAXIMUM_DECLARED_STATES} integers",
            where="completion 'nearest'",
            remedy="declare low and high, or use completion='none'",
        )
    return IntegerStates(np.arange(int(field.low), int(field.high) + 1))


def anchor(dataset: Dataset, champion: str | Path | None, encoder: Any) -> np.ndarray:
    """The base at every row, (N + E, A), where unknown as in the rest of its state; NaN in wholly unknown states.

    Raises:
        DataError: the base is not known anywhere.
    """
    base = base_probabilities(dataset, champion)
    base = fill_by_state(base, encoder.states(dataset.observations), encoder.count)
    if np.isnan(base).any(axis=1).all():
        raise DataError(
            "the policy to improve is not known at any decision",
            where=f"agent {dataset.specification.name}",
            remedy='declare rule = "module:function", record through Agent, or use anchored=False',
        )
    return base


def tabular_transitions(
    dataset: Dataset, encoder: Any, base: np.ndarray | None, discount: float
) -> tuple[Transitions, np.ndarray]:
    """The transitions of a dataset, and which of its decisions they are, int64 (N',).

    Args:
        dataset: the log.
        encoder: of discrete states.
        base: :func:`anchor`'s, or ``None`` where not anchored.
        discount: γ; without bootstrapping (0) an unknown base at the next row does no harm.

    Raises:
        DataError: no transition can be learned.
    """
    actions = len(dataset.specification.actions)
    rows = discrete_transitions(dataset, encoder)
    following = dataset.rows[rows.decisions] + 1
    keep = np.ones(len(following), dtype=bool)
    next_base = None
    if base is not None:
        next_base = base[following]
        blind = np.isnan(next_base).any(axis=1)
        keep = ~blind | rows.terminated | (discount == 0.0)
        next_base = np.where(blind[:, None], 1.0 / actions, next_base)[keep]
    if not keep.any():
        raise DataError(
            "no decision has a known next observation",
            where=f"agent {dataset.specification.name}",
            remedy="log next observations",
        )
    allowed = dataset.allowed[following][keep]
    transitions = Transitions(
        cells=(rows.states * actions + rows.actions)[keep],
        rewards=rows.rewards[keep],
        next_states=rows.next_states[keep],
        terminated=rows.terminated[keep],
        state_count=encoder.count,
        action_count=actions,
        next_base=next_base,
        next_allowed=None if allowed.all() else allowed,
    )
    return transitions, rows.decisions[keep]


def halves(transitions: Transitions, dataset: Dataset, decisions: np.ndarray) -> tuple[Transitions, Transitions]:
    """The transitions of two halves of the units, by a hash of the unit's name.

    Raises:
        DataError: all units fall into one half.
    """
    side = np.array([hashlib.sha256(str(unit).encode()).digest()[0] & 1 for unit in dataset.units], dtype=bool)
    first = side[dataset.episode_index[decisions]]
    if first.all() or not first.any():
        raise DataError(
            "there are too few units to halve",
            where=f"agent {dataset.specification.name}",
            remedy="import more episodes, or use double=False",
        )
    return transitions.select(first), transitions.select(~first)
