"""What the records themselves take from the grade of a log.

A detector's finding that says that returns, or their number, are false is taken at its word: no weights mend them.
Findings that leave every return true, such as of tenants that differ, of a cut (taken at its worst by the gate) or of a
next observation that the next step corrects, lower nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from envs.card.findings import Finding
from envs.card.grade import GRADES

SPOILT = {
    "mixed_rewards": "D",
    "shuffled_steps": "D",
    "repeated_steps": "C",
    "repeated_episodes": "C",
    "contradictory_outcomes": "C",
}
"""The best grade of a log with such an error: D where what is learned is false, C where no interval would hold."""
OF_SEQUENCES = ("shuffled_steps", "repeated_steps")
"""Of a decision that stands alone they say nothing."""


def lowered(grade: str, findings: Iterable[Finding], horizon: int) -> tuple[str, list[Finding]]:
    """The grade that errors of the records leave, and the findings, what lowers it first.

    Args:
        grade: of :func:`grade_log`.
        findings: all of the log.
        horizon: that the grade is for.
    """
    found = list(findings)
    spoils = [
        each
        for each in found
        if each.severity == "error" and each.code in SPOILT and (horizon > 1 or each.code not in OF_SEQUENCES)
    ]
    spoils.sort(key=lambda each: -GRADES.index(SPOILT[each.code]))
    lowest = max([grade, *(SPOILT[each.code] for each in spoils)], key=GRADES.index)
    decisive = [each for each in spoils if SPOILT[each.code] == lowest]
    if lowest != grade:
        return lowest, [*decisive, *(each for each in found if each not in decisive)]
    return grade, found
