"""What ``tune`` gives back: every variant with its evidence, the finalists, the recommendation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ai_engine.text import interval, number, signed, table
from algorithms.ope.estimate import Estimate
from algorithms.policy.provenance import plain_json
from tune_configs.training import LearningCurve
from tune_configs.trial import TrialResult, estimate_from_json
from tune_configs.variant import Value


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

    @classmethod
    def of(cls, agent: str, trial: TrialResult, version: str | None, artefact: Path, home: Path) -> VariantResult:
        """The result of a trial."""
        return cls(
            version=f"{agent}@{version}" if version else "",
            algorithm=trial.variant.algorithm,
            hyperparameters=trial.variant.hyperparameters,
            seeds=trial.variant.seeds,
            step=trial.variant.step,
            estimate=trial.value,
            gain=trial.gain,
            model_gain=trial.model_gain,
            actions=trial.actions,
            curve=trial.curve,
            artefact=str(artefact.relative_to(home)),
            index=trial.index,
        )

    @property
    def label(self) -> str:
        """Algorithm and what distinguishes it, for tables."""
        parts = [
            f"{k}={_short(v)}" for k, v in self.hyperparameters.items() if k not in ("fields", "discretizer", "model")
        ]
        flavour = [str(self.hyperparameters[k]) for k in ("discretizer", "model") if k in self.hyperparameters]
        return " ".join([self.algorithm, *flavour, *parts])


def _short(value: Value) -> str:
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
                    "model_gain": float("nan") if item["model_gain"] is None else item["model_gain"],
                    "hyperparameters": {
                        k: tuple(v) if isinstance(v, list) else v for k, v in item["hyperparameters"].items()
                    },
                    "seeds": tuple(item["seeds"]),
                    "actions": tuple(item["actions"]),
                    "curve": LearningCurve.from_json(item["curve"]),
                }
            )
            for item in data["variants"]
        )
        return cls(**fields)

    def to_text(self) -> str:
        """The variants, best first, and one sentence."""
        ordered = sorted(self.variants, key=lambda v: -(v.gain.lower if v.gain.usable else v.model_gain))
        rows = [
            (
                "*" if variant.index == self.recommended_index else "",
                variant.version or f"#{variant.index}",
                variant.label,
                number(variant.step),
                signed(variant.gain.value if variant.gain.usable else variant.model_gain),
                interval(variant.gain.lower, variant.gain.upper) if variant.gain.usable else "model",
                f"{variant.gain.effective_sample_size / max(variant.gain.units, 1):.0%}",
            )
            for variant in ordered
        ]
        header = ("", "version", "variant", "step", "gain", "95 % interval", "overlap")
        finalists = f"finalists {', '.join(self.finalists)}" if self.finalists else "no finalist"
        ungated = ", trained on all rows and therefore ungated" if self.ungated else ""
        return (
            f"{table(header, rows)}\n"
            f"Recommended is {self.recommended} (evidence: {self.evidence}{ungated}); {finalists}."
        )
