"""What ``compare`` gives back: one document, from which terminal text, Markdown and page are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from algorithms.ope.estimate import Estimate
from algorithms.ope.multiple_testing import BETTER, REFUSED, WORSE, Effect
from algorithms.ope.weight_histogram import WeightHistogram
from algorithms.policy.provenance import plain_json
from tune_configs.training import LearningCurve
from tune_configs.trial import estimate_from_json

Data = Mapping[str, Any]
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class ComparedPolicy:
    """One policy.

    Attributes:
        reference: what it was called.
        algorithm: of its provenance, empty for a callable.
        note: what its provenance says of it.
        value: expected return on ``select``, doubly robust where the log reaches it, else the models'.
        gain: paired difference to the reference, the family being the compared policies.
        model_gain: smallest difference over model classes and folds, from models alone.
        estimates: its value by every estimator that answers at this horizon.
        agreement: share of the decisions at which its most probable action is the reference's.
        distance: mean total variation distance to the reference over the decisions, in [0, 1].
        actions: mean probability of each action over the decisions, (A,).
        weights: how its whole-trajectory weights are spread over the units.
        parameters: the hyperparameters that are not the same in all compared policies.
        curve: how its training went, ``None`` where no run of this home knows.
    """

    reference: str
    algorithm: str
    note: str
    value: Estimate
    gain: Effect
    model_gain: float
    estimates: tuple[Estimate, ...]
    agreement: float
    distance: float
    actions: tuple[float, ...]
    weights: WeightHistogram
    parameters: Mapping[str, Any]
    curve: LearningCurve | None = None

    @classmethod
    def from_json(cls, data: Data) -> ComparedPolicy:
        """The policy of its JSON form."""
        curve = data["curve"]
        return cls(
            **{
                **data,
                "value": estimate_from_json(data["value"]),
                "gain": _effect(data["gain"]),
                "model_gain": _number(data["model_gain"]),
                "estimates": tuple(map(estimate_from_json, data["estimates"])),
                "actions": tuple(data["actions"]),
                "weights": WeightHistogram(**{k: _frozen(v) for k, v in data["weights"].items()}),
                "curve": None
                if curve is None
                else LearningCurve(curve["metric"], tuple(map(_number, curve["values"]))),
            }
        )


@dataclass(frozen=True, slots=True)
class RegionShift:
    """What one policy does in one region.

    Attributes:
        distance: mean total variation distance to the reference there.
        actions: mean probability of each action there, (A,).
        gain: of the policy that is followed in this region only, over the reference.
    """

    distance: float
    actions: tuple[float, ...]
    gain: Effect


@dataclass(frozen=True, slots=True)
class RegionReach:
    """How far the log reaches one policy in one region.

    Attributes:
        target_share: share of the policy's decisions that would be there.
        effective: effective number of the units that were there.
        units: number of them.
    """

    target_share: float
    effective: float
    units: int


@dataclass(frozen=True, slots=True)
class ComparedRegion:
    """One region of the state space.

    Attributes:
        name: its conditions as words.
        decisions: logged decisions there.
        share: of all decisions.
        actions: mean probability of each action there under the reference, (A,).
        shifts: of each policy but the reference.
        reach: of each policy, the reference first.
    """

    name: str
    decisions: int
    share: float
    actions: tuple[float, ...]
    shifts: tuple[RegionShift, ...]
    reach: tuple[RegionReach, ...]

    @classmethod
    def from_json(cls, data: Data) -> ComparedRegion:
        """The region of its JSON form."""
        shifts = tuple(
            RegionShift(**{**each, "actions": tuple(each["actions"]), "gain": _effect(each["gain"])})
            for each in data["shifts"]
        )
        reach = tuple(RegionReach(**each) for each in data["reach"])
        return cls(**{**data, "actions": tuple(data["actions"]), "shifts": shifts, "reach": reach})


@dataclass(frozen=True, slots=True)
class ComparedSegment:
    """One segment of episodes.

    Attributes:
        segmentation: what divides the episodes, such as ``tenant``.
        name: the segment.
        episodes: of ``select`` in it.
        gains: of each policy within it.
    """

    segmentation: str
    name: str
    episodes: int
    gains: tuple[Effect, ...]

    @classmethod
    def from_json(cls, data: Data) -> ComparedSegment:
        """The segment of its JSON form."""
        return cls(**{**data, "gains": tuple(map(_effect, data["gains"]))})


@dataclass(frozen=True, slots=True)
class CompareResult:
    """Policies side by side on ``select``.

    Attributes:
        agent: whose log was read.
        against: the reference, whom gains are taken against.
        champion: the present champion.
        grade: of the log.
        split: the rows that were read.
        reward: the expression by which rewards were computed, empty where they are as recorded.
        what_if: whether that is another reward than the declared one.
        propensities: ``logged`` or ``estimated``.
        confidence: of every interval or, for a family, of all its intervals together.
        tests: effects in the family of segments and regions.
        decisions: on ``select``.
        units: independent units on ``select``.
        action_names: the declared actions.
        logged: mean return of the log itself.
        reference: the reference as one of the policies; its gain is 0 by definition.
        policies: the others, as they were given.
        regions: where they disagree, most disagreement first.
        segments: gains within segments.
        cut: episodes that were cut before the horizon.
    """

    agent: str
    against: str
    champion: str
    grade: str
    split: str
    reward: str
    what_if: bool
    propensities: str
    confidence: float
    tests: int
    decisions: int
    units: int
    action_names: tuple[str, ...]
    logged: Estimate
    reference: ComparedPolicy
    policies: tuple[ComparedPolicy, ...]
    regions: tuple[ComparedRegion, ...]
    segments: tuple[ComparedSegment, ...]
    cut: int = 0

    @property
    def everyone(self) -> tuple[ComparedPolicy, ...]:
        """All policies, the reference first."""
        return (self.reference, *self.policies)

    @property
    def sentence(self) -> str:
        """Who is better, in one plain sentence; who loses anywhere is not left out."""
        better, worse = ([p.reference for p in self.policies if p.gain.verdict == kind] for kind in (BETTER, WORSE))
        place = f"On {self.split}" + (f" with the reward “{self.reward}”" if self.what_if else "")
        if all(policy.gain.verdict == REFUSED for policy in self.policies):
            return f"{place}, this log cannot say whether any is better than {self.against}: every one is refused."
        if not better:
            harmful = f"; worse: {', '.join(worse)}" if worse else ""
            return f"{place}, none is shown to be better than {self.against}{harmful}."
        losses = [
            f"{policy.reference} loses where {segment.segmentation} is {segment.name}"
            for segment in self.segments
            for policy, gain in zip(self.policies, segment.gains, strict=True)
            if gain.verdict == WORSE and policy.gain.verdict == BETTER
        ]
        aside = f" ({', '.join(losses)})" if losses else ""
        then = "the gate judges by the declared reward" if self.what_if else "the gate decides"
        return f"{place}, better than {self.against}: {', '.join(better)}{aside}; {then}."

    def to_json(self) -> dict[str, Any]:
        """One document; figures that are not finite are null."""
        plain: dict[str, Any] = plain_json(
            {"schema_version": SCHEMA_VERSION, **asdict(self), "sentence": self.sentence}
        )
        return plain

    @classmethod
    def from_json(cls, data: Data) -> CompareResult:
        """The inverse of :meth:`to_json`."""
        fields = {name: data.get(name, 0) if name == "cut" else data[name] for name in cls.__slots__}
        fields["action_names"] = tuple(data["action_names"])
        fields["logged"] = estimate_from_json(data["logged"])
        fields["reference"] = ComparedPolicy.from_json(data["reference"])
        fields["policies"] = tuple(map(ComparedPolicy.from_json, data["policies"]))
        fields["regions"] = tuple(map(ComparedRegion.from_json, data["regions"]))
        fields["segments"] = tuple(map(ComparedSegment.from_json, data["segments"]))
        return cls(**fields)

    def to_text(self) -> str:
        """Tables for a terminal, and the sentence last."""
        from ai_engine.comparing.writing import to_text

        return to_text(self)

    def to_markdown(self) -> str:
        """The same for a page of Markdown."""
        from ai_engine.comparing.writing import to_markdown

        return to_markdown(self)

    def to_html(self) -> str:
        """The same as one self-contained page, with drawings. Needs jinja2 (the extra ``train``)."""
        from ai_engine.reports.compare_page import render_comparison

        return render_comparison(self)


def _effect(data: Data) -> Effect:
    return Effect(estimate_from_json(data["estimate"]), data["adjusted_p"], data["verdict"])


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
