"""Train one variant's algorithm to the end of its budget, or checkpoint by checkpoint, in the process that asks."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from algorithms.policy.components import COMPONENTS, Component
from envs.specification import AgentSpecification
from tune_configs.effective import check_effective, effective_hyperparameters, reapply
from tune_configs.variant import VariantSpecification, check_step

ITERATIONS = 12
"""Calls of ``train()`` at most; what each does is the algorithm's own budget in updates."""
PROGRESS = "progress.json"


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
        hyperparameters: as they are in use, defaults included.
        iteration: calls of ``train()`` that it took.
        seconds: wall-clock time, without loading the library.
        loading: that of loading it; next to nothing where the process had it already.
    """

    component: Component
    statistics: dict[str, float]
    curve: LearningCurve
    hyperparameters: dict[str, Any]
    iteration: int
    seconds: float = 0.0
    loading: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        names = ("statistics", "hyperparameters", "iteration", "seconds", "loading")
        own = {name: getattr(self, name) for name in names}
        return {**own, "component": self.component.to_json(), "curve": asdict(self.curve)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrainedComponent:
        """The inverse of :meth:`to_json`."""
        component = COMPONENTS[data["component"]["kind"]](data["component"])
        return cls(**{**data, "component": component, "curve": LearningCurve.from_json(data["curve"])})


class Training:
    """An algorithm under training; a context manager that stops it at the end.

    Args:
        dataset: folder of the dataset's columns.
        champion: artefact file of the present champion, the anchor of anchored algorithms, or ``None``.
        variant: what to train; the first of its seeds.
        splits: whose episodes are learned from.
    """

    def __init__(
        self,
        dataset: Path,
        champion: Path | None,
        variant: VariantSpecification,
        *,
        splits: tuple[str, ...] = ("train",),
    ) -> None:
        begun = time.monotonic()
        from algorithms.registry import configuration

        config = configuration(variant.algorithm, dict(variant.hyperparameters), seed=variant.seeds[0])
        config.offline(dataset=str(dataset), splits=splits, champion=str(champion) if champion else None)
        config.validate()  # RLlib would silently replace a setting of -1 by its default before it validates
        started = time.monotonic()
        self._variant = variant
        algorithm: Any = config.build_algo()
        self._algorithm, self._metric = algorithm, algorithm.curve_metric or algorithm.progress_metric
        self._values: list[float] = []
        self._converged = False
        self._loading = started - begun
        self._seconds = time.monotonic() - started

    def __enter__(self) -> Training:
        return self

    def __exit__(self, *exception: object) -> None:
        self._algorithm.stop()

    @property
    def finished(self) -> bool:
        """Whether its budget is spent, or nothing changes any more."""
        return self._converged or len(self._values) >= ITERATIONS

    def at(self, iteration: int) -> TrainedComponent:
        """What is learned after so many calls of ``train()``, fewer where it has finished before.

        Raises:
            ArtefactError: the artefact would not do what the algorithm does.
            EffectiveError: it trains with other hyperparameters than its variant's.
        """
        started = time.monotonic()
        while len(self._values) < iteration and not self.finished:
            self._algorithm.train()
            self._values.append(self._algorithm.figures[self._metric])
            self._converged = bool(self._algorithm.figures.get("converged", 0.0))
        effective = effective_hyperparameters(self._algorithm)
        check_effective(self._variant, effective)
        self._algorithm.check_parity()
        component = self._algorithm.export_component()
        self._seconds += time.monotonic() - started
        return TrainedComponent(
            component=component,
            statistics=dict(self._algorithm.figures),
            curve=LearningCurve(self._metric, tuple(self._values)),
            hyperparameters=effective,
            iteration=len(self._values),
            seconds=self._seconds,
            loading=self._loading,
        )

    def save(self, directory: Path) -> None:
        """Keep the algorithm's whole state in a new directory, in RLlib's form, which is unpickled when read."""
        directory.mkdir(parents=True)
        self._algorithm.save_to_path(str(directory / "algorithm"))
        progress = {"values": self._values, "converged": self._converged, "seconds": self._seconds}
        (directory / PROGRESS).write_text(json.dumps(progress), encoding="utf-8")

    def restore(self, directory: Path) -> None:
        """Go on from what :meth:`save` kept, of this variant or of another of the same shape.

        The hyperparameters stay those of this variant.
        """
        self._algorithm.restore_from_path(str(directory / "algorithm"))
        reapply(self._algorithm)
        progress = json.loads((directory / PROGRESS).read_text(encoding="utf-8"))
        self._values, self._converged = list(progress["values"]), bool(progress["converged"])
        self._seconds += float(progress["seconds"])


def check_variant(variant: VariantSpecification, specification: AgentSpecification) -> None:
    """Check what can be checked before anything is written or read.

    Raises:
        SpecificationError: an unknown algorithm, hyperparameter or field, or a value or step out of its range.
    """
    from algorithms.registry import configuration
    from envs.discretization import field_columns

    config = configuration(variant.algorithm, dict(variant.hyperparameters), seed=variant.seeds[0])
    config.offline(dataset="checked when it is opened")
    config.validate()
    check_step(variant.step, where=variant.algorithm)
    field_columns(specification.observation, variant.hyperparameters.get("fields"))  # type: ignore[arg-type]


def train_component(
    dataset: Path,
    champion: Path | None,
    variant: VariantSpecification,
    *,
    splits: tuple[str, ...] = ("train",),
    iterations: int = ITERATIONS,
) -> TrainedComponent:
    """Build the variant's RLlib algorithm, train it, and take its component.

    Args:
        dataset: folder of the dataset's columns.
        champion: artefact file of the present champion, the anchor of anchored algorithms, or ``None``.
        variant: what to train; the first of its seeds.
        splits: whose episodes are learned from.
        iterations: calls of ``train()`` at most.
    """
    with Training(dataset, champion, variant, splits=splits) as training:
        return training.at(iterations)
