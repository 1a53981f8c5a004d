"""Train one variant's algorithm to the end of its budget, in the process that asks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algorithms.policy.components import Component
from envs.specification import AgentSpecification
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
