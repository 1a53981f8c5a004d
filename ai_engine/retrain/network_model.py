"""The networks of a trainer as a policy artefact, and back; and what such a trainer takes as states.

Weights, optimizer moments and whatever else the trainer goes on from lie under ``provenance.training`` of
the artefact, as arrays of exact bytes: one file, sealed by its SHA-256, is both what is deployed and what
learning goes on from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.cloning_fit import NetworkState, Weights
from algorithms.policy.arrays import array_from_json, array_to_json
from algorithms.policy.artefact import policy_from_bytes
from algorithms.policy.components import Component
from algorithms.policy.parts import Layer
from algorithms.policy.policy import Policy
from algorithms.policy.provenance import Provenance
from envs.encoding.features import FeatureColumn, StandardFeatures
from envs.errors import ArtefactError, RecordError
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import Action

PARTS = ("weights", "first", "second")
"""What is stored of a network: its weights and Adam's two moments."""


@dataclass(frozen=True, slots=True)
class States:
    """What a trainer's states are: integers 0 … Z − 1, or vectors of Z numbers.

    Attributes:
        size: Z.
        discrete: whether they are integers; a network then sees an indicator of each.
        center: subtracted from the numbers of a vector, Z of them.
        scale: these are divided by it, Z of them; what lies beyond ±10 after that is cut.
    """

    size: int
    discrete: bool
    center: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    @property
    def observation(self) -> ObservationSpecification:
        """The declaration of a policy's observation."""
        if self.discrete:
            return ObservationSpecification("int", (ObservationField("state", "integer", 0.0, self.size - 1.0),))
        return ObservationSpecification("vector", tuple(ObservationField(f"state_{n}") for n in range(self.size)))

    @property
    def encoder(self) -> StandardFeatures:
        """Raw rows to a network's inputs."""
        if self.discrete:
            return StandardFeatures((FeatureColumn(0, False, names=np.arange(float(self.size))),))
        scales = zip(self.center, self.scale, strict=True)
        return StandardFeatures(tuple(FeatureColumn(n, False, *each) for n, each in enumerate(scales)))

    def features(self, values: Any, field: str) -> np.ndarray:
        """Inputs of several states, float32 (n, F).

        Args:
            values: whole numbers (n,), or numbers (n, Z).
            field: what they are called in messages.

        Raises:
            RecordError: a state does not fit; names the field.
        """
        array = _numbers(values, field)
        if is_discrete(array) != self.discrete:
            wanted = "integers" if self.discrete else f"vectors of {self.size} numbers"
            raise RecordError(f"has shape {array.shape}", field=field, remedy=f"this trainer's states are {wanted}")
        rows = array.astype(np.float64).reshape(len(array), -1)
        if not self.discrete and rows.shape[1] != self.size:
            raise RecordError(f"has {rows.shape[1]} numbers a state", field=field, remedy=f"give {self.size}")
        if not np.isfinite(rows).all():
            raise RecordError("holds numbers that are not finite", field=field, remedy="give finite numbers")
        if self.discrete and len(rows) and not (rows.min() >= 0 and rows.max() < self.size):
            raise RecordError(f"is not in [0, {self.size})", field=field, remedy="give indices of states")
        return self.encoder.features(rows).astype(np.float32)


def is_discrete(values: Any) -> bool:
    """Whether several states are whole numbers (n,) and not vectors (n, Z)."""
    array = np.asarray(values)
    return bool(array.ndim == 1 and array.dtype.kind in "iu")


def _numbers(values: Any, field: str) -> np.ndarray:
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "iuf" or array.ndim not in (1, 2):
        raise RecordError(
            f"{values!r:.60} is not an array of states", field=field, remedy="give integers, or vectors of equal length"
        )
    return array


@dataclass(frozen=True, slots=True, eq=False)
class NetworkModel:
    """What a model file holds besides the policy's own layer.

    Attributes:
        algorithm: name of the algorithm; a file is read by the trainer that wrote it.
        agent: whose policy it is.
        actions: what the A actions are called.
        explore: exploration floor of the policy.
        states: what it decides on.
        arrays: whatever learning goes on from, by name.
        settings: of the trainer, by name.
        counters: numbers that learning goes on from, by name.
        random: state of the source of random numbers.
        statistics: of the last training.
    """

    algorithm: str
    agent: str
    actions: tuple[Action, ...]
    explore: float
    states: States
    arrays: Mapping[str, np.ndarray]
    settings: Mapping[str, Any]
    counters: Mapping[str, float]
    random: Mapping[str, Any]
    statistics: Mapping[str, Any]


def network_policy(model: NetworkModel, component: Component, updates: int) -> Policy:
    """The policy of a component, with the model in its provenance."""
    states = model.states
    training: dict[str, Any] = {
        "updates": updates,
        "statistics": dict(model.statistics),
        "states": {
            "size": states.size,
            "discrete": states.discrete,
            "center": list(states.center),
            "scale": list(states.scale),
        },
        "counters": dict(model.counters),
        "random": dict(model.random),
        "arrays": {name: array_to_json(array) for name, array in model.arrays.items()},
    }
    return Policy(
        agent=model.agent,
        version=f"{model.algorithm}-{updates}",
        observation=states.observation,
        actions=model.actions,
        explore=model.explore,
        layers=(Layer(1.0, component),),
        provenance=Provenance(
            algorithm=model.algorithm,
            hyperparameters=dict(model.settings),
            training=training,
            note="no gate has judged it",
        ),
    )


def read_network(path: str | os.PathLike[str], algorithm: str) -> NetworkModel:
    """The model of a file whose policy :func:`network_policy` made.

    Raises:
        ArtefactError: no such file, a damaged one, or one that another trainer wrote.
    """
    where = os.fspath(path)
    try:
        policy = policy_from_bytes(Path(path).read_bytes(), where=where)
    except OSError as error:
        raise ArtefactError(
            f"cannot be read ({error.strerror})", where=where, remedy="give the path of a saved model"
        ) from None
    kept = policy.provenance.training
    if policy.provenance.algorithm != algorithm or not {"arrays", "states", "counters", "random"} <= set(kept):
        raise ArtefactError(f"holds no model of {algorithm}", where=where, remedy="give a file that the trainer saved")
    states = kept["states"]
    return NetworkModel(
        algorithm=algorithm,
        agent=policy.agent,
        actions=policy.actions,
        explore=policy.explore,
        states=States(states["size"], states["discrete"], tuple(states["center"]), tuple(states["scale"])),
        arrays={name: array_from_json(value, name).copy() for name, value in kept["arrays"].items()},
        settings=policy.provenance.hyperparameters,
        counters=kept["counters"],
        random=kept["random"],
        statistics=kept.get("statistics", {}),
    )


def network_arrays(name: str, network: NetworkState) -> dict[str, np.ndarray]:
    """Weights and moments of a network as arrays ``name.part.layer.W`` and ``….b``."""
    return {
        f"{name}.{part}.{number}.{letter}": array
        for part in PARTS
        for number, pair in enumerate(getattr(network, part))
        for letter, array in zip("Wb", pair, strict=True)
    }


def network_of(name: str, arrays: Mapping[str, np.ndarray], step: int, sizes: Sequence[int]) -> NetworkState:
    """The network that :func:`network_arrays` took apart.

    Args:
        name: as it was stored.
        arrays: by name.
        step: of Adam.
        sizes: inputs, hidden layers and outputs that it must have.

    Raises:
        ArtefactError: an array is missing, or has another shape.
    """
    parts: list[Weights] = []
    for part in PARTS:
        pairs = []
        for number, (inputs, outputs) in enumerate(pairwise(sizes)):
            pair = tuple(arrays.get(f"{name}.{part}.{number}.{letter}", np.empty(0)) for letter in "Wb")
            if (pair[0].shape, pair[1].shape) != ((inputs, outputs), (outputs,)):
                raise ArtefactError(
                    f"lacks {name}.{part}.{number} of {inputs} inputs and {outputs} outputs",
                    where=name,
                    remedy="load it into a trainer of the same states, actions and hidden layers",
                )
            pairs.append((pair[0], pair[1]))
        parts.append(tuple(pairs))
    weights, first, second = parts
    return NetworkState(weights, first, second, step)
