"""What ``tune`` gives back: every variant with its evidence, the finalists, the recommendation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ai_engine.provisos import provisos
from ai_engine.text import interval, number, signed, table
from algorithms.ope.estimate import Estimate
from algorithms.policy.provenance import plain_json
from tune_configs.judged_checkpoint import JudgedCheckpoint, estimate_from_json
from tune_configs.recommendation import models_gain
from tune_configs.training import LearningCurve
from tune_configs.trial_result import TrialResult
from tune_configs.variant import Value


@dataclass(frozen=True, slots=True)
class CheckpointFigures:
    """What was found of a variant after so many iterations.

    Attributes:
        iteration: calls of ``train()``.
        metric: mean over seeds of the lower bound of the paired difference; a refusal counts as the smallest possible.
        gain: the paired difference itself, NaN where the log does not reach the policy.
        model_gain: smallest difference over cross-fitted models.
    """

    iteration: int
    metric: float
    gain: float
    model_gain: float

    @classmethod
    def of(cls, judged: JudgedCheckpoint) -> CheckpointFigures:
        """The figures of a judged checkpoint."""
        gain = judged.gain.value if judged.gain.usable else float("nan")
        return cls(judged.iteration, judged.metric, gain, judged.model_gain)

    @property
    def told(self) -> str:
        """The lower bound, or what the models say where the log does not reach the policy."""
        return signed(self.metric) if math.isfinite(self.gain) else f"model {signed(self.model_gain)}"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CheckpointFigures:
        """The figures that were written with non-finite ones as null."""
        figures = (float("nan") if data[name] is None else float(data[name]) for name in cls.__slots__[1:])
        return cls(int(data["iteration"]), *figures)


@dataclass(frozen=True, slots=True)
class VariantResult:
    """A judged variant.

    Attributes:
        version: ``agent@N`` of a registered version, else empty.
        algorithm: registry name.
        hyperparameters: those that differ from the defaults.
        seeds: seeds trained with.
        step: η.
        estimate: expected return on ``select``.
        gain: paired difference to the champion.
        model_gain: smallest difference over cross-fitted models.
        actions: share of each action on ``select``.
        curve: how its training went.
        artefact: file of its policy, relative to the home.
        index: position in the run.
        score: its word on itself: mean over seeds of the lower bound, or of the models' word where there is none.
        iteration: of the checkpoint that all of this is about: the best one, or the last where that is recommended.
        checkpoints: all that were judged.
        seed_metrics: the metric of each seed at that checkpoint.
    """

    version: str
    algorithm: str
    hyperparameters: Mapping[str, Value]
    seeds: tuple[int, ...]
    step: float
    estimate: Estimate
    gain: Estimate
    model_gain: float
    actions: tuple[float, ...]
    curve: LearningCurve
    artefact: str
    index: int
    score: float = float("nan")
    iteration: int = 0
    checkpoints: tuple[CheckpointFigures, ...] = ()
    seed_metrics: tuple[float, ...] = ()

    @classmethod
    def of(
        cls,
        agent: str,
        trial: TrialResult,
        judged: JudgedCheckpoint,
        version: str | None,
        artefact: Path,
        home: Path,
    ) -> VariantResult:
        """The result of a trial, of one of its checkpoints."""
        return cls(
            version=f"{agent}@{version}" if version else "",
            algorithm=judged.variant.algorithm,
            hyperparameters=judged.variant.hyperparameters,
            seeds=judged.variant.seeds,
            step=judged.variant.step,
            estimate=judged.value,
            gain=judged.gain,
            model_gain=judged.model_gain,
            actions=judged.actions,
            curve=trial.curve,
            artefact=str(artefact.relative_to(home)),
            index=trial.index,
            score=judged.score,
            iteration=judged.iteration,
            checkpoints=tuple(CheckpointFigures.of(each) for each in trial.checkpoints),
            seed_metrics=judged.seed_metrics,
        )

    @property
    def best(self) -> CheckpointFigures:
        """The checkpoint of the largest metric, the later one of equals."""
        return max(self.checkpoints, key=lambda each: (each.metric, each.iteration))

    @property
    def shown_gain(self) -> float:
        """The log's estimate of the gain, the models' smallest where the log has none."""
        return self.gain.value if self.gain.usable else self.model_gain

    @property
    def last(self) -> CheckpointFigures:
        """What the whole training came to."""
        return self.checkpoints[-1]

    @property
    def iterations(self) -> str:
        """After how many iterations this was judged, and what the best and the last checkpoint are if others."""
        if not self.checkpoints:
            return ""
        told = [
            f"{name} {each.iteration}: {each.told}"
            for name, each in (("best", self.best), ("last", self.last))
            if each.iteration != self.iteration
        ]
        return f"{self.iteration} ({', '.join(told)})" if told else f"{self.iteration}"

    @property
    def label(self) -> str:
        """Algorithm and what distinguishes it, for tables."""
        parts = [
            f"{k}={_short(v)}" for k, v in self.hyperparameters.items() if k not in ("fields", "discretizer", "model")
        ]
        flavour = [str(self.hyperparameters[k]) for k in ("discretizer", "model") if k in self.hyperparameters]
        return " ".join([self.algorithm, *flavour, *parts])


def _short(value: Value) -> str:
    if isinstance(value, float):
        return number(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "×".join(map(str, value)) or "linear" if isinstance(value, tuple) else str(value)


@dataclass(frozen=True, slots=True)
class TuneResult:
    """A finished sweep.

    Attributes:
        agent: the agent.
        run: the run's name.
        grade: of the log.
        champion: whom the variants were compared with.
        variants: all of them, in the order of the plan.
        finalists: versions for the gate, the largest lower bound first.
        recommended: version of the best expected value by all evidence.
        recommended_index: its ``index`` among ``variants``.
        evidence: ``log`` or ``model``: what speaks for the recommendation.
        ungated: whether the recommendation was trained on all rows and can never pass the gate.
    """

    agent: str
    run: str
    grade: str
    champion: str
    variants: tuple[VariantResult, ...]
    finalists: tuple[str, ...]
    recommended: str
    recommended_index: int
    evidence: str
    ungated: bool = False

    @property
    def recommendation(self) -> VariantResult:
        """The recommended variant."""
        return next(variant for variant in self.variants if variant.index == self.recommended_index)

    def to_json(self) -> dict[str, Any]:
        """One document; figures that are not finite are null."""
        document = {name: getattr(self, name) for name in self.__slots__}
        document["variants"] = [
            {
                **{name: getattr(variant, name) for name in variant.__slots__},
                "estimate": asdict(variant.estimate),
                "gain": asdict(variant.gain),
                "curve": asdict(variant.curve),
                "checkpoints": [asdict(each) for each in variant.checkpoints],
            }
            for variant in self.variants
        ]
        plain: dict[str, Any] = plain_json({"schema_version": 1, **document})
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TuneResult:
        """The inverse of :meth:`to_json`."""
        fields = {name: data[name] for name in cls.__slots__}
        fields["finalists"] = tuple(data["finalists"])
        fields["variants"] = tuple(
            VariantResult(
                **{
                    **item,
                    "estimate": estimate_from_json(item["estimate"]),
                    "gain": estimate_from_json(item["gain"]),
                    **{
                        name: float("nan") if item.get(name) is None else item[name] for name in ("model_gain", "score")
                    },
                    "hyperparameters": {
                        k: tuple(v) if isinstance(v, list) else v for k, v in item["hyperparameters"].items()
                    },
                    "seeds": tuple(item["seeds"]),
                    "actions": tuple(item["actions"]),
                    "curve": LearningCurve.from_json(item["curve"]),
                    "checkpoints": tuple(CheckpointFigures.from_json(each) for each in item.get("checkpoints", ())),
                    "seed_metrics": tuple(item.get("seed_metrics", ())),
                }
            )
            for item in data["variants"]
        )
        return cls(**fields)

    @property
    def estimated(self) -> bool:
        """Whether the propensities that its gains stand on are estimated."""
        return any(variant.gain.on_estimates for variant in self.variants)

    @property
    def reservation(self) -> str:
        """What to say after the recommended version's name where it is but the least bad."""
        return "" if self.recommendation.shown_gain > 0.0 else ", though none is estimated to gain"

    def to_text(self) -> str:
        """The variants, the recommended one and then the largest scores first, and a sentence or two."""
        ordered = sorted(
            self.variants,
            key=lambda v: (v.index != self.recommended_index, -v.score if math.isfinite(v.score) else math.inf),
        )
        seeds = max(len(variant.seeds) for variant in self.variants)
        rows = [
            (
                "*" if variant.index == self.recommended_index else "",
                variant.version or f"#{variant.index}",
                variant.label,
                number(variant.step),
                signed(variant.shown_gain),
                interval(variant.gain.lower, variant.gain.upper) if variant.gain.usable else "model",
                f"{variant.gain.effective_sample_size / max(variant.gain.units, 1):.0%}",
                *((signed(variant.score),) if seeds > 1 else ()),
                variant.iterations,
            )
            for variant in ordered
        ]
        score = (f"mean bound of {seeds} seeds",) if seeds > 1 else ()
        header = ("", "version", "variant", "step", "gain", "95 % interval", "overlap", *score, "iterations")
        finalists = f"finalists {', '.join(self.finalists)}" if self.finalists else f"no finalist ({self._why_none()})"
        ungated = ", trained on all rows and therefore ungated" if self.ungated else ""
        return (
            f"{table(header, rows)}\n"
            f"Recommended is {self.recommended} (evidence: {self.evidence}{ungated}){self.reservation}; {finalists}."
            f"{self._against_the_log()}{provisos(self.grade, estimated=self.estimated)}"
        )

    def _why_none(self) -> str:
        refusals = Counter(variant.gain.refused for variant in self.variants if not variant.gain.usable)
        if refusals.total() < len(self.variants):
            return "none that the log reaches gains on select"
        return refusals.most_common(1)[0][0] or "none has an estimate"

    def _against_the_log(self) -> str:
        """Why a model's word comes before a logged gain, where it does; see :mod:`tune_configs.recommendation`."""
        best = self.recommendation
        if self.evidence != "model" or not any(variant.gain.usable for variant in self.variants):
            return ""
        word = f"smallest {signed(best.model_gain)}, mean less its error {signed(models_gain(best))}"
        return (
            f" The log does not reach {self.recommended}: the models' word for it ({word}), as far as the log confirms"
            " them where it reaches, exceeds what is sure of every logged gain."
        )
