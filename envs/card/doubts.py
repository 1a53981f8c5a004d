"""What keeps a log with overlap from grade A: its propensities, and single units of too much weight."""

from __future__ import annotations

from envs.card.evidence import LARGEST_RESIDUAL, Evidence
from envs.card.findings import Finding
from envs.card.sensitivity import LARGEST

SMALLEST_PROPENSITY = 0.003
LARGEST_SHARE = 0.05
"""Of the weight, on one unit."""


def doubts_about(evidence: Evidence, *, error: bool) -> list[Finding]:
    """A finding for each doubt.

    Args:
        evidence: the log's figures.
        error: whether they decide the grade, or another reason does.
    """
    severity = "error" if error else "warning"
    found = []
    if evidence.contradictions:
        found.append(
            Finding(
                "contradictory_propensities",
                severity,
                f"{evidence.contradictions:,} decisions give the action taken a propensity that is not its probability",
                "the propensities are not used; the behaviour policy is estimated",
                "log the probability with which the requested action was drawn",
            )
        )
    if evidence.residual >= LARGEST_RESIDUAL:
        found.append(_false_propensities(evidence, severity))
    if evidence.logged_share < 0.999:
        found.append(
            Finding(
                "missing_propensities",
                severity,
                f"{100 * (1 - evidence.logged_share):.1f} % of the decisions have no propensity",
                "the behaviour policy is estimated, and what its actions depended on may not have been recorded"
                + (_tipping(evidence.gamma) if error else ""),
                'let the agent decide through Agent(..., explore=...), or log "propensity"',
            )
        )
    elif evidence.smallest < SMALLEST_PROPENSITY:
        found.append(
            Finding(
                "small_propensities",
                severity,
                f"the smallest propensity is {evidence.smallest:.2g}, below {SMALLEST_PROPENSITY}",
                "a single decision can outweigh hundreds",
                "raise the exploration floor, or mask actions that must not be taken",
            )
        )
    if evidence.overlap is not None and evidence.overlap.largest_share > LARGEST_SHARE:
        found.append(
            Finding(
                "heavy_unit",
                severity,
                f"one unit has {100 * evidence.overlap.largest_share:.1f} % of all weight",
                "an estimate hangs on that unit",
                "log more units, or explore more evenly",
            )
        )
    return found


def _tipping(gamma: float) -> str:
    """How far off estimated propensities may be."""
    if gamma >= LARGEST:
        return ""
    return f": estimates {gamma:.2f} times too high or too low can make a policy look better that is worse"


def _false_propensities(evidence: Evidence, severity: str) -> Finding:
    sentence = f"actions were taken more or less often than their propensities say (|z| = {evidence.residual:.1f})"
    remedy = "log the probability of the draw, not a confidence, and after masks and limits"
    if evidence.excusing:
        fields = ", ".join(evidence.excusing)
        sentence += f"; without {fields} in the observation they could be true"
        remedy = f"if {fields} was set after acting, take it out of the observation; if not, {remedy}"
    else:
        remedy += "; and take out of the observation what was set after acting"
    consequence = "the propensities are not used; the behaviour policy is estimated"
    return Finding("false_propensities", severity, sentence, consequence, remedy)
