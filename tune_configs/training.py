"""Train one variant's algorithm to the end of its budget, in the process that asks."""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from algorithms.policy.components import COMPONENTS, Component
from envs.specification import AgentSpecification
from envs.storage import LocalStorage
from tune_configs.variant import VariantSpecification

ITERATIONS = 12
"""Calls of ``train()`` at most; what each does is the algorithm's own budget in updates."""


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """One metric of each training iteration.

    Attributes:
        metric: its name.
        values: float, one for each ``train()``.
    """

    metric: str
    values: tuple[float, ...]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LearningCurve:
        """The curve of its JSON form, which ``dataclasses.asdict`` gives."""
        return cls(str(data["metric"]), tuple(float(value) for value in data["values"]))


@dataclass(frozen=True, slots=True, eq=False)
class TrainedComponent:
    """What an algorithm learned.

    Attributes:
        component: the policy's new layer.
        statistics: figures of the last iteration.
        curve: how training went.
        hyperparameters: as resolved, defaults included.
        seconds: wall-clock time, without loading the library.
        loading: that of loading it; next to nothing where the process had it already.
    """

    component: Component
    statistics: dict[str, float]
    curve: LearningCurve
    hyperparameters: dict[str, Any]
    seconds: float = 0.0
    loading: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        own = {name: getattr(self, name) for name in ("statistics", "hyperparameters", "seconds", "loading")}
        return {**own, "component": self.component.to_json(), "curve": asdict(self.curve)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrainedComponent:
        """The inverse of :meth:`to_json`."""
        component = COMPONENTS[data["component"]["kind"]](data["component"])
        return cls(**{**data, "component": component, "curve": LearningCurve.from_json(data["curve"])})


def shared_component(folder: Path, dataset: Path, champion: Path, variant: VariantSpecification) -> TrainedComponent:
    """:func:`train_component` on ``train``, done once for all variants that differ in nothing but their step.

    Args:
        folder: where what is learned is kept; the first process that asks trains, others wait for it.
        dataset: folder of the dataset's columns.
        champion: artefact file of the present champion.
        variant: what to train.
    """
    learned = replace(variant, step=1.0).to_json()
    name = hashlib.sha256(json.dumps(learned, sort_keys=True).encode()).hexdigest()[:16]
    store, key = LocalStorage(folder), f"{name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = (folder / key).exists()
        if not known:
            store.replace(key, json.dumps(train_component(dataset, champion, variant).to_json()).encode())
    # Read back even where it was just written, so that all of them act on the same numbers.
    found = TrainedComponent.from_json(json.loads(store.read(key)))
    return replace(found, loading=0.0) if known else found


def check_variant(variant: VariantSpecification, specification: AgentSpecification) -> None:
    """Check what can be checked before anything is written or read.

    Raises:
        SpecificationError: an unknown algorithm, hyperparameter or field, or a value out of its range.
    """
    from algorithms.registry import configuration
    from envs.discretization import field_columns

    config = configuration(variant.algorithm, dict(variant.hyperparameters), seed=variant.seeds[0])
    config.offline(dataset="checked when it is opened")
    config.validate()
    field_columns(specification.observation, variant.hyperparameters.get("fields"))  # type: ignore[arg-type]


def train_component(
    dataset: Path, champion: Path | None, variant: VariantSpecification, *, splits: tuple[str, ...] = ("train",)
) -> TrainedComponent:
    """Build the variant's RLlib algorithm, train it, and take its component.

    Args:
        dataset: folder of the dataset's columns.
        champion: artefact file of the present champion, the anchor of anchored algorithms, or ``None``.
        variant: what to train; the first of its seeds.
        splits: whose episodes are learned from.
    """
    begun = time.monotonic()
    from algorithms.registry import configuration

    config = configuration(variant.algorithm, dict(variant.hyperparameters), seed=variant.seeds[0])
    config.offline(dataset=str(dataset), splits=splits, champion=str(champion) if champion else None)
    config.validate()  # RLlib would silently replace a setting of -1 by its default before it validates
    started = time.monotonic()
    algorithm: Any = config.build_algo()
    try:
        metric = algorithm.curve_metric or algorithm.progress_metric
        values = []
        for _ in range(ITERATIONS):
            algorithm.train()
            values.append(algorithm.figures[metric])
            if algorithm.figures.get("converged", 0.0):
                break
        algorithm.check_parity()
        component, hyperparameters = algorithm.export_component(), algorithm.hyperparameters()
        seconds = time.monotonic() - started
        curve = LearningCurve(metric, tuple(values))
        return TrainedComponent(component, algorithm.figures, curve, hyperparameters, seconds, started - begun)
    finally:
        algorithm.stop()
