"""How often intervals cover: counts that pieces of a measurement add up to, and the rows that they become."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass

from scipy import stats

from algorithms.ope.estimate import Estimate
from benchmarks.rows import Row
from benchmarks.trust.request import Piece

CONFIDENCE, LEVEL = 0.95, 0.01
ANSWERED = 0.9
CONSERVATIVE = frozenset(
    {"clipped_pdis", "clipped_weighted_pdis", "magic", "switch_doubly_robust", "doubly_robust_shrinkage"}
)
"""Their intervals have a bound of a bias added, or are drawn out to the estimate: wider than 95 % is no fault."""
TWO_SIDED = "a binomial test at 1 % does not reject 95 %"
FROM_BELOW = "a binomial test at 1 % does not reject at least 95 % (estimated propensities, or a counted-in bias)"
SELDOM = "refused in more than a tenth of the logs: wrong answers in at most 5 % of all, by a binomial test at 1 %"


@dataclass
class Tally:
    """What one estimator did on the logs of one setting.

    Attributes:
        logs: all.
        answered: not refused.
        covered: answered with an interval that holds the truth.
        width: sum of the widths of the answered.
    """

    logs: int = 0
    answered: int = 0
    covered: int = 0
    width: float = 0.0

    def count(self, estimate: Estimate, truth: float) -> None:
        """Add one log."""
        self.logs += 1
        if estimate.usable:
            self.answered += 1
            self.covered += int(estimate.lower <= truth <= estimate.upper)
            self.width += estimate.upper - estimate.lower

    def add(self, other: Tally) -> None:
        """Add another's counts."""
        self.logs += other.logs
        self.answered += other.answered
        self.covered += other.covered
        self.width += other.width

    @property
    def mean_width(self) -> float:
        """Of the answered; NaN where there is none."""
        return self.width / self.answered if self.answered else float("nan")

    @property
    def wrong(self) -> int:
        """Answered with an interval that misses."""
        return self.answered - self.covered

    @property
    def too_often_wrong(self) -> bool:
        """Whether the binomial test finds more than 5 % of all logs answered wrongly."""
        found = stats.binomtest(self.wrong, self.logs, 1.0 - CONFIDENCE, alternative="greater")
        return bool(found.pvalue < LEVEL)

    def covers(self, *, two_sided: bool) -> bool:
        """Whether the binomial test lets 95 % stand for the answered logs."""
        if not self.answered:
            return True
        side = "two-sided" if two_sided else "less"
        return bool(stats.binomtest(self.covered, self.answered, CONFIDENCE, alternative=side).pvalue >= LEVEL)


Tallies = dict[tuple[str, str, str], Tally]
"""By target, kind of propensities and estimator."""


def to_piece(tallies: Tallies) -> Piece:
    """Tallies as JSON."""
    return {"|".join(key): astuple(tally) for key, tally in tallies.items()}


def of_pieces(pieces: Iterable[Piece]) -> Tallies:
    """The sum of pieces."""
    found: Tallies = {}
    for piece in pieces:
        for key, counts in piece.items():
            target, kind, name = key.split("|")
            found.setdefault((target, kind, name), Tally()).add(Tally(*counts))
    return found


def rows_of(setting: str, tallies: Tallies) -> list[Row]:
    """Coverage of each estimator where it answers nearly always, wrong answers where it often refuses.

    Which logs are answered depends on the same weights as the estimate: where a setting lies at an
    estimator's smallest overlap, those answered are the logs without the rare large weights, and
    their coverage is no property of the interval alone. So a refusal counts as an interval that holds everything.
    """
    rows = []
    for (target, kind, name), tally in tallies.items():
        case = f"{setting}, ESS {target}, {kind}"
        share = tally.covered / tally.answered if tally.answered else float("nan")
        if tally.answered >= ANSWERED * tally.logs:
            two_sided = kind == "logged" and name not in CONSERVATIVE
            goal = TWO_SIDED if two_sided else FROM_BELOW
            holds = tally.covers(two_sided=two_sided)
            rows.append(Row(case, f"{name}: coverage", "of logs", share, "nominal", CONFIDENCE, goal, holds))
            continue
        wrong, holds = tally.wrong / tally.logs, not tally.too_often_wrong
        anchor = f"coverage of the {tally.answered} of {tally.logs} answered"
        rows.append(Row(case, f"{name}: wrong", "of all logs", wrong, anchor, share, SELDOM, holds))
    return rows
