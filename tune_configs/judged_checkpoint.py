"""A checkpoint of a variant with all that is known of it, its seeds taken together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from algorithms.ope.estimate import Estimate
from tune_configs.judge import Judgement
from tune_configs.metric import flat_metric
from tune_configs.training import TrainedComponent
from tune_configs.variant import VariantSpecification


@dataclass(frozen=True, slots=True)
class JudgedCheckpoint:
    """What the judge said of a variant after so many iterations.

    The best of several seeds is luck, and its estimate is too good. So ``metric`` and ``score``, which rank
    variants and checkpoints, are means over all seeds; and the policy that stands for the variant, with its own
    estimates, is that of the seed in the middle.

    Attributes:
        variant: as it was then; a population changes its hyperparameters on the way.
        iteration: calls of ``train()``.
        metric: what Tune maximises: mean over seeds of :func:`~tune_configs.metric.flat_metric`.
        score: what ranks a variant's own checkpoints: mean over seeds of the lower bound, or of the models' word
            where there is none.
        seed: whose policy stands for the variant; the estimates below are of this policy.
        value: expected return on ``select``.
        gain: paired difference to the champion.
        model_gain: smallest difference over model classes and folds.
        deviation: standard deviation of the paired difference.
        actions: share of each action on ``select``, floor included.
        statistics: figures of the training.
        hyperparameters: as they were in use, defaults included.
        seed_metrics: the metric of each seed.
    """

    variant: VariantSpecification
    iteration: int
    metric: float
    score: float
    seed: int
    value: Estimate
    gain: Estimate
    model_gain: float
    deviation: float
    actions: tuple[float, ...]
    statistics: dict[str, float]
    hyperparameters: dict[str, Any]
    seed_metrics: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """The JSON form, figures that are not finite left as they are."""
        own = {name: getattr(self, name) for name in self.__slots__}
        return {**own, "variant": self.variant.to_json(), "value": asdict(self.value), "gain": asdict(self.gain)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> JudgedCheckpoint:
        """The inverse of :meth:`to_json`, non-finite figures as null."""
        found = {name: data[name] for name in cls.__slots__}
        found["variant"] = VariantSpecification.from_json(data["variant"])
        for name in ("value", "gain"):
            found[name] = estimate_from_json(data[name])
        for name in ("model_gain", "deviation", "score"):
            found[name] = float("nan") if data[name] is None else data[name]
        return cls(**{**found, "actions": tuple(data["actions"]), "seed_metrics": tuple(data["seed_metrics"])})


def estimate_from_json(data: Mapping[str, Any]) -> Estimate:
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


def best_of(checkpoints: Sequence[JudgedCheckpoint]) -> JudgedCheckpoint:
    """The checkpoint of the largest metric, the later one of equals."""
    return max(enumerate(checkpoints), key=lambda item: (item[1].metric, item[0]))[1]


def _middle_seed(judgements: Sequence[Judgement], smallest: float) -> int:
    """Position of the seed in the middle, by metric and where that is equal by score; the lower of two middles."""
    order = sorted(range(len(judgements)), key=lambda k: (flat_metric(judgements[k], smallest), _score(judgements[k])))
    return order[(len(order) - 1) // 2]


def judged_checkpoint(
    variant: VariantSpecification,
    trained: Sequence[TrainedComponent],
    judgements: Sequence[Judgement],
    actions: Sequence[np.ndarray],
    *,
    smallest: float,
) -> JudgedCheckpoint:
    """The checkpoint of a variant, from the same checkpoint of each of its seeds.

    Args:
        variant: what was trained, with all its seeds.
        trained: what each seed learned.
        judgements: what the judge said of each one's policy.
        actions: float64 (A,) each, shares of the actions.
        smallest: :func:`~tune_configs.metric.smallest_difference`.
    """
    metrics = [flat_metric(each, smallest) for each in judgements]
    middle = _middle_seed(judgements, smallest)
    chosen = judgements[middle]
    return JudgedCheckpoint(
        variant=variant,
        iteration=max(each.iteration for each in trained),
        metric=float(np.mean(metrics)),
        score=float(np.mean([each.score for each in judgements])),
        seed=variant.seeds[middle],
        value=chosen.value,
        gain=chosen.gain,
        model_gain=chosen.model_gain,
        deviation=chosen.deviation,
        actions=tuple(float(share) for share in actions[middle]),
        statistics=trained[middle].statistics,
        hyperparameters=trained[middle].hyperparameters,
        seed_metrics=tuple(metrics),
    )


def _score(judgement: Judgement) -> float:
    return judgement.score if np.isfinite(judgement.score) else -np.inf
