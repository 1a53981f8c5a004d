"""A comparison as tables: what terminal, Markdown and page have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from ai_engine.comparing.evidence import OF_REFERENCE
from ai_engine.comparing.result import ComparedPolicy, ComparedRegion, CompareResult
from ai_engine.text import interval, number, signed
from algorithms.ope.estimate import Estimate
from algorithms.ope.multiple_testing import REFUSED, SAME, Effect
from envs.counting import counted

SHOWN_ACTIONS = 3
LEAST_SHARE = 0.05
"""Of an action that is named when it is said what a policy does."""


@dataclass(frozen=True, slots=True)
class Section:
    """One table.

    Attributes:
        key: its name in a link.
        title: heading.
        lead: what it says, in a sentence or two.
        header: of the columns.
        rows: of cells.
        letters: what the letters in it stand for.
        notes: below it.
        brief: whether a terminal shows it too.
    """

    key: str
    title: str
    lead: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    letters: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    brief: bool = True


def sections(result: CompareResult) -> tuple[Section, ...]:
    """The tables of a comparison, in their order; those without a row are left out."""
    made = (_gains(result), _parameters(result), _estimators(result), _regions(result), _segments(result),
            _overlap(result), _weights(result), _actions(result))  # fmt: skip
    return tuple(section for section in made if section.rows)


def what_it_does(names: Sequence[str], shares: Sequence[float]) -> str:
    """The most probable actions with their shares."""
    ordered = sorted(zip(names, shares, strict=True), key=lambda pair: -pair[1])
    said = [f"{name} {share:.0%}" for name, share in ordered[:SHOWN_ACTIONS] if share >= LEAST_SHARE]
    return ", ".join(said)


def _gains(result: CompareResult) -> Section:
    rows = [
        (
            policy.reference,
            _value(policy.value),
            *_effect(policy.gain),
            _percent(policy.gain.estimate.effective_sample_size / max(policy.gain.estimate.units, 1)),
            f"{policy.agreement:.0%}",
            f"{policy.distance:.0%}",
        )
        for policy in result.everyone
    ]
    together = ", all together" if len(result.policies) > 1 else ""
    refused = _refusals([(p.reference, p.gain) for p in result.policies])
    models = tuple(
        f"{policy.reference}: models alone say {signed(policy.model_gain)} at their most cautious"
        for policy in result.policies
        if policy.gain.verdict == REFUSED and policy.model_gain == policy.model_gain
    )
    return Section(
        "gains",
        f"Gain over {result.against}",
        "Paired differences on the same episodes, doubly robust. Overlap is the share of the log that speaks for a "
        "policy; it agrees where its most probable action is the reference’s; what is shifted is the share of "
        "decisions in which it would draw another action.",
        ("policy", "value", "gain", f"{result.confidence:.0%} interval{together}", "shown", "overlap", "agrees",
         "shifted"),
        tuple(rows),
        notes=refused + models,
    )  # fmt: skip


def _parameters(result: CompareResult) -> Section:
    names = sorted({name for policy in result.everyone for name in policy.parameters})
    rows = [(name, *(_setting(policy, name) for policy in result.everyone)) for name in names]
    algorithms = [policy.algorithm or "–" for policy in result.everyone]
    if len(set(algorithms)) > 1:
        rows.insert(0, ("algorithm", *algorithms))
    header = ("parameter", *(policy.reference for policy in result.everyone))
    return Section("parameters", "What differs", "Only what is not the same in all of them.", header, tuple(rows))


def _estimators(result: CompareResult) -> Section:
    everyone = result.everyone
    names = [estimate.estimator for estimate in result.reference.estimates]
    rows = [(name, *(_value(policy.estimates[position]) for policy in everyone)) for position, name in enumerate(names)]
    reasons: dict[str, None] = {}
    for policy in everyone:
        for estimate in policy.estimates:
            if estimate.refused:
                reasons.setdefault(f"{policy.reference}, {estimate.estimator}: {estimate.refused}")
    return Section(
        "estimators",
        "Value by every estimator",
        "Estimators that agree do not prove each other; where they disagree, weights or models are in trouble. "
        "Each refuses where its own intervals would not cover.",
        ("estimator", *(policy.reference for policy in everyone)),
        tuple(rows),
        notes=tuple(reasons) if len(reasons) <= 2 else _summary(everyone),
    )


def _summary(everyone: Sequence[ComparedPolicy]) -> tuple[str, ...]:
    """How many estimators refused each policy, and the shortest reason."""
    said = []
    for policy in everyone:
        refused = [estimate for estimate in policy.estimates if estimate.refused]
        if refused:
            last = min(refused, key=lambda estimate: len(estimate.refused))
            said.append(f"{policy.reference}: {len(refused)} refuse; {last.estimator}: {last.refused}")
    return tuple(said)


def _weights(result: CompareResult) -> Section:
    everyone = result.everyone
    bins = result.reference.weights.bins
    rows = [
        (name, *(f"{_percent(p.weights.units[index])} ({_percent(p.weights.weight[index])})" for p in everyone))
        for index, name in enumerate(bins)
    ]
    rows.append(("effective units", *(f"{p.weights.effective:,.0f} of {p.weights.count:,}" for p in everyone)))
    rows.append(("largest unit’s share", *(_percent(p.weights.largest_share) for p in everyone)))
    return Section(
        "weights",
        "Importance weights",
        "Share of the units by their weight in multiples of the mean, and in brackets the share of all weight that "
        "they carry. A log speaks for a policy where many units carry a little.",
        ("weight", *(policy.reference for policy in everyone)),
        tuple(rows),
        brief=False,
    )


def _regions(result: CompareResult) -> Section:
    rows = []
    for letter, region in lettered(result):
        does = what_it_does(result.action_names, region.actions)
        rows.append((letter, f"{region.share:.0%}", result.against, does, *("",) * 5))
        for policy, shift in zip(result.policies, region.shifts, strict=True):
            does, shifted = what_it_does(result.action_names, shift.actions), f"{shift.distance:.0%}"
            gain, span, verdict = _effect(shift.gain)
            found = shift.gain.estimate
            effective = _percent(found.effective_sample_size / max(found.units, 1))
            rows.append(("", "", policy.reference, does, shifted, gain, span, verdict, effective))
    return Section(
        "regions",
        "Where they disagree",
        "Regions of states in which the policies depart from the reference in the same way, found on train and counted "
        "on select. The gain is that of a policy that is followed in this region only, and the reference elsewhere.",
        ("region", "share", "policy", "does", "shifted", "gain there", "interval", "shown", "overlap"),
        tuple(rows),
        letters=tuple(f"{letter}: {region.name}" for letter, region in lettered(result)),
        notes=() if result.segments else _family(result),
    )


def _segments(result: CompareResult) -> Section:
    rows = [
        (segment.segmentation, segment.name, f"{segment.episodes:,}", policy.reference, *_effect(gain), _reach(gain))
        for segment in result.segments
        for policy, gain in zip(result.policies, segment.gains, strict=True)
    ]
    return Section(
        "segments",
        "For whom it pays",
        "The gain over the reference among the episodes of a segment, which is known before the first decision.",
        ("by", "segment", "episodes", "policy", "gain", "interval", "shown", "effective units"),
        tuple(rows),
        notes=_family(result),
    )


def _overlap(result: CompareResult) -> Section:
    rows = [
        (
            letter,
            f"{region.share:.0%}",
            *(f"{each.target_share:.0%}; {each.effective:,.0f} of {each.units:,}" for each in region.reach),
        )
        for letter, region in lettered(result)
    ]
    return Section(
        "overlap",
        "Overlap by region",
        "Share of the log’s decisions in each region; for each policy the share of its own decisions that would be "
        "there, and how many of the units that were there speak for it.",
        ("region", "log", *(policy.reference for policy in result.everyone)),
        tuple(rows),
        brief=False,
    )


def _actions(result: CompareResult) -> Section:
    everyone = result.everyone
    rows = [
        (name, *(_percent(policy.actions[index]) for policy in everyone))
        for index, name in enumerate(result.action_names)
    ]
    header = ("action", *(policy.reference for policy in everyone))
    lead = "How often each policy takes each action at the logged states of select."
    return Section("actions", "Action shift", lead, header, tuple(rows), brief=False)


def lettered(result: CompareResult) -> list[tuple[str, ComparedRegion]]:
    """The regions with the letters that stand for them."""
    return list(zip(ascii_uppercase, result.regions, strict=False))


def _family(result: CompareResult) -> tuple[str, ...]:
    if not result.tests:
        return ("Nothing is tested here: the log reaches no policy in any of these rows.",)
    tested = counted(result.tests, "effect in segments and regions is", "effects in segments and regions are")
    return (
        f"{tested} one family: “shown” by Holm’s correction, so that the "
        f"chance of any false claim is at most {1.0 - result.confidence:.0%}; the intervals cover all of them together "
        f"with {result.confidence:.0%}.",
    )


def _refusals(effects: Sequence[tuple[str, Effect]]) -> tuple[str, ...]:
    return tuple(f"{name}: {reason(e)}" for name, e in effects if e.verdict == REFUSED)


def reason(effect: Effect) -> str:
    """Why an effect is refused, and whose overlap is meant."""
    text = effect.estimate.refused
    return f"the reference: {text.removeprefix(OF_REFERENCE)}" if text.startswith(OF_REFERENCE) else text


def _effect(effect: Effect) -> tuple[str, str, str]:
    """Gain, interval and verdict."""
    if effect.verdict == REFUSED:
        whose = " (reference)" if effect.estimate.refused.startswith(OF_REFERENCE) else ""
        return ("–", "–", f"{REFUSED}{whose}")
    if effect.verdict == SAME:
        return ("0", "–", SAME)
    found = effect.estimate
    return signed(found.value), interval(found.lower, found.upper), effect.verdict


def _value(estimate: Estimate) -> str:
    if estimate.refused:
        return REFUSED
    text = number(estimate.value, 4)
    if estimate.evidence == "model":
        return f"{text} (model)"
    return f"{text} {interval(estimate.lower, estimate.upper)}"


def _reach(effect: Effect) -> str:
    return f"{effect.estimate.effective_sample_size:,.0f} of {effect.estimate.units:,}"


def _setting(policy: ComparedPolicy, name: str) -> str:
    value = policy.parameters.get(name)
    return "–" if value is None else str(value)


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 or share == 0.0 else f"{share:.1%}"
