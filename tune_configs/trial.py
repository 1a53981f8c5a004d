"""One trial: train a variant, write its artefact, judge it on ``select``."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.on_log import probabilities_on, without_blind_ends
from algorithms.ope.estimate import Estimate
from algorithms.policy import Policy, Provenance
from algorithms.policy.provenance import plain_json
from envs.columns import load_columns
from envs.dataset import Dataset
from envs.declaration import specification_hash
from envs.storage import LocalStorage
from tune_configs.judge import Judge, episodes_in
from tune_configs.training import LearningCurve, TrainedComponent, shared_component
from tune_configs.variant import VariantSpecification

CODE_VERSION = "0.1.0"


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """What a sweep does.

    Attributes:
        directory: the run's folder; results go to ``variants/`` and ``artefacts/`` in it.
        dataset: folder of the dataset's columns, ``final`` left out.
        champion: artefact file of the present champion.
        variants: what is tried.
        seed: of folds and cells.
        since: journal position; ``select`` episodes up to it were judged under an earlier champion
            and serve as training data for the judge's models only.
    """

    directory: Path
    dataset: Path
    champion: Path
    variants: tuple[VariantSpecification, ...]
    seed: int = 0
    since: int = 0

    def result_path(self, index: int) -> Path:
        """Where the result of a variant stands once it is finished."""
        return self.directory / "variants" / f"{index:04d}.json"

    def missing(self) -> list[int]:
        """Variants that have no result yet."""
        return [index for index in range(len(self.variants)) if not self.result_path(index).exists()]

    @property
    def stop_path(self) -> Path:
        """The file whose appearance ends the running trials."""
        return self.directory / "stop"

    def artefact_path(self, index: int) -> Path:
        """Where the policy of a variant stands."""
        return self.directory / "artefacts" / f"{index:04d}.json"


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What a trial found.

    Attributes:
        index: position in the plan.
        variant: what was tried.
        value: expected return on ``select``.
        gain: paired difference to the champion.
        model_gain: smallest difference over model classes and folds.
        deviation: standard deviation of the paired difference.
        score: what recommends the variant.
        actions: share of each action on ``select``, floor included.
        statistics: figures of the training.
        curve: how training went.
        seconds: wall-clock time of training and judging.
        training_seconds: that of training alone.
        loading_seconds: that of loading the library, in the first trial of a process.
    """

    index: int
    variant: VariantSpecification
    value: Estimate
    gain: Estimate
    model_gain: float
    deviation: float
    score: float
    actions: tuple[float, ...]
    statistics: dict[str, float]
    curve: LearningCurve
    seconds: float
    training_seconds: float = field(default=0.0, compare=False)
    loading_seconds: float = field(default=0.0, compare=False)

    def to_json(self) -> dict[str, Any]:
        """The JSON form, non-finite figures as null."""
        plain: dict[str, Any] = plain_json(
            {
                **{k: getattr(self, k) for k in self.__slots__ if k != "variant"},
                "value": asdict(self.value),
                "gain": asdict(self.gain),
                "variant": self.variant.to_json(),
                "curve": asdict(self.curve),
            }
        )
        return plain

    @classmethod
    def load(cls, path: Path) -> TrialResult:
        """The result that a trial wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        data["variant"] = VariantSpecification.from_json(data["variant"])
        data["curve"] = LearningCurve.from_json(data["curve"])
        for name in ("value", "gain"):
            data[name] = estimate_from_json(data[name])
        for name in ("model_gain", "deviation", "score"):
            data[name] = float("nan") if data[name] is None else data[name]
        data["actions"] = tuple(data["actions"])
        return cls(**data)


def estimate_from_json(data: dict[str, Any]) -> Estimate:
    """The estimate whose fields were written with non-finite figures as null."""
    numbers = ("value", "lower", "upper")
    return Estimate(
        **{
            **data,
            **{name: float("nan") if data[name] is None else data[name] for name in numbers},
            "diagnostics": {k: float("nan") if v is None else v for k, v in data["diagnostics"].items()},
            "assumptions": tuple(data["assumptions"]),
        }
    )


def run_variant(plan: TrialPlan, index: int) -> TrialResult:
    """Train and judge one variant; its result appears on disk last and in one step."""
    started = time.monotonic()
    variant = plan.variants[index]
    dataset, champion, judge = _shared(str(plan.dataset), str(plan.champion), plan.seed, plan.since)
    trained = shared_component(plan.directory / "components", plan.dataset, plan.champion, variant)
    policy = variant_policy(champion, trained, variant, dataset)
    probabilities = probabilities_on(dataset, policy)
    judgement = judge.judge(probabilities)
    policy = replace(
        policy,
        provenance=replace(
            policy.provenance, evaluation={"value": asdict(judgement.value), "gain": asdict(judgement.gain)}
        ),
    )
    result = TrialResult(
        index=index,
        variant=variant,
        value=judgement.value,
        gain=judgement.gain,
        model_gain=judgement.model_gain,
        deviation=judgement.deviation,
        score=judgement.score,
        actions=tuple(np.mean(probabilities[judge.rows], axis=0).tolist()),
        statistics=trained.statistics,
        curve=trained.curve,
        seconds=time.monotonic() - started,
        training_seconds=trained.seconds,
        loading_seconds=trained.loading,
    )
    store = LocalStorage(plan.directory)
    store.replace(str(plan.artefact_path(index).relative_to(plan.directory)), policy.to_bytes())
    content = json.dumps(result.to_json(), indent=1).encode()
    store.replace(str(plan.result_path(index).relative_to(plan.directory)), content)
    return result


def variant_policy(
    champion: Policy, trained: TrainedComponent, variant: VariantSpecification, dataset: Dataset, *, note: str = ""
) -> Policy:
    """(1 - η) champion + η component, with the agent's declared exploration floor."""
    specification = dataset.specification
    provenance = Provenance(
        parent=champion.version,
        specification_hash=specification_hash(specification),
        reward=specification.reward,
        dataset=dataset.identifier,
        code_version=CODE_VERSION,
        algorithm=variant.algorithm,
        hyperparameters={**trained.hyperparameters, "step": variant.step, "seeds": list(variant.seeds)},
        training=dict(trained.statistics),
        note=note,
    )
    layered = champion.with_layer(trained.component, variant.step, provenance=provenance)
    return replace(layered, explore=specification.explore, version="candidate")


@lru_cache(maxsize=4)
def _shared(dataset_path: str, champion_path: str, seed: int, since: int) -> tuple[Dataset, Policy, Judge]:
    """What all trials of a worker share: the log, the champion and the judge."""
    dataset = load_columns(dataset_path)
    champion = Policy.from_bytes(Path(champion_path).read_bytes(), where=champion_path)
    probabilities = probabilities_on(dataset, champion)
    dataset = without_blind_ends(dataset, probabilities)
    evaluated = episodes_in(dataset, "select") & (dataset.sequences > since)
    judge = Judge(
        dataset,
        probabilities,
        evaluated=evaluated,
        fitted=episodes_in(dataset, "train", "select") & ~evaluated,
        propensities=behavior_propensities(dataset),
        seed=seed,
    )
    return dataset, champion, judge


def behavior_propensities(dataset: Dataset) -> np.ndarray | None:
    """Estimated propensities (N,) where the log has none or cannot be believed (grade B), else ``None``."""
    from envs.behavior import estimate_behavior
    from envs.card.evidence import LARGEST_RESIDUAL
    from envs.card.propensities import contradictions, martingale_residual

    logged = np.isfinite(dataset.propensities)
    believed = not (martingale_residual(dataset) >= LARGEST_RESIDUAL or contradictions(dataset))
    if believed and logged.all():
        return None
    estimated = estimate_behavior(dataset)[np.arange(len(dataset)), dataset.actions]
    return np.where(logged, dataset.propensities, estimated) if believed else estimated
