"""From a comparison to what its page shows: the tables of the terminal, each with its drawing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ai_engine.comparing.result import ComparedPolicy, CompareResult
from ai_engine.comparing.tables import Section, lettered, reason, sections
from ai_engine.reports.bars import share_bars
from ai_engine.reports.charts import GainRow, forest_plot
from ai_engine.reports.compare_charts import ValueRow, value_strip
from ai_engine.reports.curves import curves_view
from ai_engine.reports.formats import MINUS, common_decimals, estimate_decimals, finite, fixed, interval, percent
from ai_engine.reports.views import action_view
from algorithms.ope.multiple_testing import BETTER, REFUSED, SAME, WORSE, Effect
from envs.counting import counted

ASCII_MINUS = re.compile(r"(?<![\w)])-(?=[\d.])")
FOLDED = ("estimators", "segments", "overlap", "weights", "actions")
"""Sections whose table opens by a click: the drawing says the same."""
LONGEST_TEXT = 32  # beside a mark; what is longer is in the table only


@dataclass(frozen=True, slots=True)
class SectionView:
    """One section of the page.

    Attributes:
        section: title, lead, table and notes.
        drawing: SVG, empty where there is none.
        legend: names of the series of the drawing, in the order of their colours.
        folded: whether the table opens by a click.
    """

    section: Section
    drawing: str = ""
    legend: tuple[str, ...] = ()
    folded: bool = False


def outcome_view(result: CompareResult) -> dict[str, str]:
    """The badge: class, sign and text."""
    verdicts = {policy.gain.verdict for policy in result.policies}
    if BETTER in verdicts:
        return {"kind": "promote", "sign": "▲", "text": "better is shown"}
    if verdicts <= {REFUSED}:
        return {"kind": "refused", "sign": "✕", "text": "this log cannot say"}
    if verdicts <= {WORSE, SAME}:
        return {"kind": "keep", "sign": "■", "text": "no winner"}
    return {"kind": "inconclusive", "sign": "◇", "text": "no winner"}


def section_views(result: CompareResult) -> list[SectionView]:
    """The sections in their order; learning curves where a run knows them."""
    drawn: dict[str, Callable[[CompareResult], str]] = {
        "gains": _gains,
        "estimators": _estimators,
        "regions": _region_gains,
        "segments": _segment_gains,
        "overlap": _overlap,
        "weights": _weights,
        "actions": _actions,
    }
    coloured = tuple(policy.reference for policy in result.everyone)
    views = []
    for section in sections(result):
        key = section.key
        drawing = drawn[key](result) if key in drawn else ""
        legend = coloured if key in ("overlap", "weights", "actions") else ()
        views.append(SectionView(_typographic(section), drawing, legend, key in FOLDED and bool(drawing)))
    curves = _curves(result)
    return views if curves is None else [*views, curves]


def _typographic(section: Section) -> Section:
    """The section with proper minus signs before its numbers."""
    rows = tuple(tuple(map(typographic, row)) for row in section.rows)
    return replace(section, rows=rows, notes=tuple(map(typographic, section.notes)))


def typographic(text: str) -> str:
    """The text with proper minus signs before its numbers."""
    return ASCII_MINUS.sub(MINUS, text)


def _gains(result: CompareResult) -> str:
    rows = [(policy.reference, "", policy.gain, "", policy.model_gain) for policy in result.policies]
    return _forest(rows, "gains", f"Gain of each policy over {result.against}")


def _region_gains(result: CompareResult) -> str:
    rows = [
        (
            policy.reference,
            f"followed in {letter} only",
            shift.gain,
            f"Region {letter}, {region.share:.0%} of the decisions",
            None,
        )
        for letter, region in lettered(result)
        for policy, shift in zip(result.policies, region.shifts, strict=True)
        if shift.gain.verdict not in (REFUSED, SAME)
    ]
    return _forest(rows, "regions", f"Gain over {result.against} where a policy is followed in one region only")


def _segment_gains(result: CompareResult) -> str:
    rows = [
        (
            segment.name,
            counted(segment.episodes, "episode"),
            segment.gains[position],
            f"{policy.reference} by {segment.segmentation}",
            None,
        )
        for position, policy in enumerate(result.policies)
        for segment in result.segments
        if segment.gains[position].verdict not in (REFUSED, SAME)
    ]
    return _forest(rows, "segments", f"Gain over {result.against} within segments")


def _forest(rows: Sequence[tuple[str, str, Effect, str, float | None]], key: str, title: str) -> str:
    """Label, note, effect, group and the models' gain of each row, as a forest; empty without a row."""
    estimates = [asdict(effect.estimate) for _, _, effect, _, _ in rows]
    decimals = common_decimals(estimates, [model for *_, model in rows])
    chart = [
        _gain_row(label, note, effect, group, model, estimate_decimals(estimate, decimals))
        for (label, note, effect, group, model), estimate in zip(rows, estimates, strict=True)
    ]
    text = "; ".join(f"{row.label} {row.note}: {row.text}" for row in chart)
    return forest_plot(chart, key, title, text) if chart else ""


def _gain_row(label: str, note: str, effect: Effect, group: str, model: float | None, decimals: int) -> GainRow:
    found = effect.estimate
    if effect.verdict == REFUSED:
        point = finite(model)
        text, speaks = f"model {fixed(model, decimals, signed=True)}", "Only a model speaks"
        if point is None:
            text, speaks = REFUSED, "Nothing speaks"
        return GainRow(label, reason(effect), point, None, None, True, text, group or speaks)
    span = interval(found.lower, found.upper, decimals, signed=True)
    value = fixed(found.value, decimals, signed=True)
    text = f"{value} ({span})"
    return GainRow(
        label=label,
        note=note or ("" if effect.verdict == SAME else f"shown: {effect.verdict}"),
        point=finite(found.value),
        lower=finite(found.lower),
        upper=finite(found.upper),
        hollow=False,
        text=text if len(text) <= LONGEST_TEXT else value,
        group=group or "The log itself speaks",
        marked=effect.verdict in (BETTER, WORSE),
    )


def _estimators(result: CompareResult) -> str:
    rows = []
    for policy in result.everyone:
        answered = [estimate for estimate in policy.estimates if not estimate.refused]
        decimals = common_decimals([asdict(each) for each in answered], [each.value for each in answered])
        for each in answered:
            span = interval(each.lower, each.upper, decimals)
            text = f"{fixed(each.value, decimals)}" + (f" ({span})" if span else " model")
            rows.append(
                ValueRow(
                    each.estimator,
                    policy.reference,
                    finite(each.value),
                    finite(each.lower),
                    finite(each.upper),
                    each.evidence == "model",
                    text,
                )
            )
    return value_strip(rows, "estimators", "Value of each policy by every estimator that answers") if rows else ""


def _overlap(result: CompareResult) -> str:
    letters = [f"{letter}, {region.share:.0%} of the log" for letter, region in lettered(result)]
    series = [
        (
            policy.reference,
            [region.reach[position].effective / max(region.reach[position].units, 1) for region in result.regions],
        )
        for position, policy in enumerate(result.everyone)
    ]
    return _bars(letters, series, "overlap", "Effective share of the units in each region")


def _weights(result: CompareResult) -> str:
    series: list[tuple[str, Sequence[float]]] = [(policy.reference, policy.weights.units) for policy in result.everyone]
    names = [f"weight {name}" for name in result.reference.weights.bins]
    return _bars(names, series, "weights", "Share of the units by their weight in multiples of the mean")


def _bars(names: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], key: str, title: str) -> str:
    text = "; ".join(
        f"{name}: " + ", ".join(f"{policy} {percent(shares[index])}" for policy, shares in series)
        for index, name in enumerate(names)
    )
    return share_bars(names, series, key, title, text)


def _actions(result: CompareResult) -> str:
    series = [{"policy": policy.reference, "shares": list(policy.actions)} for policy in result.everyone]
    view = action_view({"names": list(result.action_names), "series": series})
    return str(view["drawing"]) if view else ""


def _curves(result: CompareResult) -> SectionView | None:
    known = [policy for policy in result.everyone if policy.curve is not None]
    view = curves_view([_curve(policy) for policy in known])
    if view is None:
        return None
    section = Section(
        "curves",
        "Learning curves",
        "How training went, by the algorithm’s own measure on the train split. What a policy is worth stands above.",
        ("policy", "metric", "iterations", "first", "last", "smallest", "largest"),
        tuple(view["rows"]),
    )
    return SectionView(section, view["drawing"], (), folded=bool(view["drawing"]))


def _curve(policy: ComparedPolicy) -> dict[str, Any]:
    assert policy.curve is not None
    return {
        "version": policy.reference,
        "algorithm": policy.algorithm,
        "step": policy.parameters.get("step"),
        "curve": asdict(policy.curve),
    }
