"""Judged checkpoints and trials with figures of one's choice. Import it from any test."""

from __future__ import annotations

import math

from algorithms.ope.estimate import Estimate
from tune_configs.judged_checkpoint import JudgedCheckpoint
from tune_configs.training import LearningCurve
from tune_configs.trial_result import TrialResult
from tune_configs.variant import VariantSpecification

SMALLEST = -100.0


def checkpoint(
    *,
    lower: float = math.nan,
    value: float | None = None,
    model: float = 0.0,
    refused: str = "",
    iteration: int = 1,
    variant: VariantSpecification | None = None,
) -> JudgedCheckpoint:
    """A judged checkpoint; with ``refused`` its estimate is a refusal and only the models speak."""
    middle = lower + 0.1 if value is None else value
    gain = Estimate(
        value=math.nan if refused else middle,
        lower=math.nan if refused else lower,
        upper=math.nan if refused else middle + 0.1,
        confidence=0.95,
        estimator="paired_doubly_robust",
        effective_sample_size=100.0,
        units=200,
        refused=refused,
    )
    metric = gain.lower if gain.usable else SMALLEST
    return JudgedCheckpoint(
        variant=variant or VariantSpecification("tabular_q"),
        iteration=iteration,
        metric=metric,
        score=gain.lower if gain.usable else model,
        seed=0,
        value=gain,
        gain=gain,
        model_gain=model,
        deviation=1.0,
        actions=(1.0,),
        statistics={},
        hyperparameters={},
        seed_metrics=(metric,),
    )


def trial(index: int, *checkpoints: JudgedCheckpoint) -> TrialResult:
    """A trial with these checkpoints."""
    return TrialResult(index, checkpoints, LearningCurve("loss", (1.0, 0.5)), 0.0)
