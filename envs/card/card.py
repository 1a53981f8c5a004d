"""The data card of a log: its grade, why, what to do, and what can be proven next."""

from __future__ import annotations

import math
import textwrap
from dataclasses import asdict, dataclass, replace
from typing import Any

from envs.build_report import BuildReport
from envs.card.advice import MINIMUM_FRACTION, decisions_per_day, exploration_advice, patience_advice
from envs.card.detectors import detect
from envs.card.evidence import Evidence, gather_evidence
from envs.card.exploration import exploration_share
from envs.card.findings import SEVERITIES, Finding
from envs.card.grade import MEANINGS, grade_log, units_lacking
from envs.card.spoilt import lowered
from envs.counting import counted
from envs.dataset import SPLIT_NAMES, Dataset

SCHEMA_VERSION = 1
WIDTH = 100
LEAVE_OUT = ("unscored_episodes", "broken_episodes")
"""Findings of what leaves closed episodes out."""
MARKS = {"error": "x", "warning": "!", "information": "-"}


@dataclass(frozen=True, slots=True)
class DataCard:
    """What a log can prove.

    Attributes:
        grade: ``A``, ``A-M``, ``B``, ``C`` or ``D`` (see :mod:`envs.card.grade`).
        horizon: the horizon that it holds for.
        findings: what was found, errors first.
        figures: the numbers behind it, by name; what is not known is absent.
        provable_steps: (step size η, expected effective share of units) of a step towards a candidate.
        exploration_advice: what exploration would lead to grade A, or empty where none is needed.
    """

    grade: str
    horizon: int
    findings: tuple[Finding, ...]
    figures: dict[str, float | int | str]
    provable_steps: tuple[tuple[float, float], ...]
    exploration_advice: str

    @property
    def meaning(self) -> str:
        """The grade's consequence in one sentence."""
        return MEANINGS[self.grade]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "grade": self.grade,
            "meaning": self.meaning,
            "horizon": self.horizon,
            "findings": [asdict(finding) for finding in self.findings],
            "figures": dict(self.figures),
            "provable_steps": [
                {"step": step, "effective_sample_size_fraction": share, "provable": share >= MINIMUM_FRACTION}
                for step, share in self.provable_steps
            ],
            "exploration_advice": self.exploration_advice,
        }

    def to_text(self) -> str:
        """Plain lines for a terminal."""
        figures = self.figures
        units = counted(int(figures["units"]), "unit")
        head = f"{figures['agent']}: grade {self.grade} at horizon {self.horizon}: {self.meaning}"
        sizes = (
            f"{counted(int(figures['decisions']), 'decision')}, {counted(int(figures['episodes']), 'episode')}, "
            f"{units} "
            f"(train {figures['train_episodes']:,}, select {figures['select_episodes']:,}, "
            f"final {figures['final_episodes']:,} episodes)"
        )
        lines = [*_wrapped(head, "", "  "), *_wrapped(sizes, "  ", "  ")]
        if "effective_sample_size" in figures:
            places = 0 if int(figures["units"]) >= 100 else 2  # 3.96 of 4 must not be told as 4 of 4 and 99 %
            effective = (
                f"effective sample size {figures['effective_sample_size']:,.{places}f} of {units} "
                f"({100 * float(figures['effective_sample_size_fraction']):.0f} %)"
            )
            if "mean_return" in figures:  # finite rewards may have returns that are not
                effective += f", mean return {figures['mean_return']:.4g}"
            lines += _wrapped(effective, "  ", "  ")
        for finding in self.findings:
            lines += _wrapped(finding.sentence, f"  {MARKS[finding.severity]} ", "    ")
            lines += _wrapped(f"{finding.consequence}; {finding.remedy}", "    ", "    ")
        if self.provable_steps:
            steps = ", ".join(f"{step:g} ({100 * share:.0f} %)" for step, share in self.provable_steps)
            known = f"steps towards a better policy and their effective share of units: {steps}"
            lines += _wrapped(f"{known}; provable from {100 * MINIMUM_FRACTION:.0f} % on", "  ", "    ")
        if self.exploration_advice:
            lines += _wrapped(self.exploration_advice, "  ", "    ")
        return "\n".join(lines)


def _wrapped(text: str, first: str, later: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=later, break_on_hyphens=False)


def build_card(dataset: Dataset, report: BuildReport) -> DataCard:
    """The data card of a dataset, before any training.

    Args:
        dataset: the log.
        report: what :func:`envs.build.build_dataset` left out of it.
    """
    specification = dataset.specification
    evidence = gather_evidence(dataset)
    by_weights, decisive = grade_log(evidence, specification)
    grade, found = lowered(by_weights, [*decisive, *detect(dataset, report, evidence)], specification.horizon)
    if 0 < specification.minimum_units - evidence.units <= report.unscored_episodes + report.broken_episodes:
        found = _causes_first(found)
    findings = sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
    return DataCard(
        grade=grade,
        horizon=specification.horizon,
        findings=tuple(findings),
        figures=_figures(dataset, evidence, report),
        provable_steps=evidence.steps if grade == by_weights else (),
        exploration_advice=_advice(dataset, evidence) if by_weights == grade == "C" else "",
    )


def _causes_first(found: list[Finding]) -> list[Finding]:
    """What left out the units that are too few stands before their number: more of the same would be left out too."""
    causes = [finding for finding in found if finding.code in LEAVE_OUT]
    return [*(replace(cause, severity="error") for cause in causes), *(each for each in found if each not in causes)]


def _advice(dataset: Dataset, evidence: Evidence) -> str:
    lacking = units_lacking(evidence)
    return patience_advice(dataset, lacking) if lacking and not evidence.estimated else exploration_advice(dataset)


def _figures(dataset: Dataset, evidence: Evidence, report: BuildReport) -> dict[str, float | int | str]:
    figures: dict[str, float | int | str] = {
        "agent": dataset.specification.name,
        "dataset": dataset.identifier,
        "decisions": evidence.decisions,
        "episodes": evidence.episodes,
        "units": evidence.units,
        "complete_episodes": evidence.complete_episodes,
        "open_episodes": report.open_episodes,
        "actions": len(dataset.specification.actions),
        "actions_tried": evidence.actions_tried,
        "propensities_logged": evidence.logged_share,
        "propensities": "estimated" if evidence.estimated else "logged",
        "smallest_propensity": evidence.smallest,
        "exploration_share": math.nan if evidence.estimated else exploration_share(dataset),
        "martingale_residual": evidence.residual,
        "certain_share": evidence.certain_share,
        "sensitivity_gamma": evidence.gamma,
        "decisions_per_day": decisions_per_day(dataset),
        "practical_effect": dataset.specification.practical_effect,
    }
    for name, number in SPLIT_NAMES.items():
        figures[f"{name}_episodes"] = int((dataset.splits == number).sum())
    if evidence.overlap is not None:
        figures |= {
            "effective_sample_size": evidence.overlap.effective,
            "effective_sample_size_fraction": evidence.overlap.fraction,
            "largest_weight_share": evidence.overlap.largest_share,
            "mean_return": evidence.overlap.mean_return,
            "detectable_effect": evidence.overlap.detectable,
            "final_units": evidence.overlap.final_units,
        }
    return {name: value for name, value in figures.items() if isinstance(value, str) or math.isfinite(value)}
