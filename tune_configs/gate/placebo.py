"""The gate's self-test on a log: how often would it promote where nothing can be better?

Train, select and gate are repeated on permuted copies (:mod:`tune_configs.gate.permutation`) with the
tabular learner. Every promotion is a false one. No outcome of ``final`` is read, so it costs no α.

Reference: Clopper & Pearson (1934), The use of confidence or fiducial limits, for the interval.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from algorithms.ope.paired import paired_estimate
from algorithms.ope.state_action_models import TabularModel
from envs.dataset import Dataset
from envs.errors import DataError
from tune_configs.gate.budget import alpha_at
from tune_configs.gate.decision import decide
from tune_configs.gate.evidence import Sides, gate_request
from tune_configs.gate.finalists import finalists
from tune_configs.gate.permutation import Permuter
from tune_configs.gate.placebo_learning import PlaceboLearner
from tune_configs.gate.request import KEEP, PROMOTE, Planning
from tune_configs.judge import Judge, episodes_in

CONFIDENCE = 0.95
LEVEL = 0.01
"""Of the binomial test by which a share above the nominal rate forbids the gate."""


@dataclass(frozen=True, slots=True)
class PlaceboOutcome:
    """What the permuted copies showed.

    Attributes:
        copies: how many were made.
        promoted: of them, how many would have been promoted.
        nominal: α_j of the look that was imitated.
        look: j.
        tested: copies in which a finalist was tested; where there are few, a small share says little.
        decisions: how often each answer was given.
    """

    copies: int
    promoted: int
    nominal: float
    look: int
    tested: int
    decisions: dict[str, int] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Share of copies that would have been promoted."""
        return self.promoted / self.copies

    @property
    def interval(self) -> tuple[float, float]:
        """Exact 95 % interval of that share (Clopper & Pearson)."""
        found = stats.binomtest(self.promoted, self.copies).proportion_ci(CONFIDENCE, "exact")
        return float(found.low), float(found.high)

    @property
    def p_value(self) -> float:
        """Probability of so many promotions or more at the nominal rate."""
        return float(stats.binomtest(self.promoted, self.copies, self.nominal, alternative="greater").pvalue)

    @property
    def passed(self) -> bool:
        """Whether the share is no more than the nominal rate explains, at 1 %."""
        return self.p_value >= LEVEL

    @property
    def telling_copies(self) -> int:
        """Copies of which no promotion would bring the interval's upper end down to the nominal rate."""
        return math.ceil(math.log(0.5 * (1.0 - CONFIDENCE)) / math.log1p(-self.nominal))


def run_placebo(
    dataset: Dataset,
    champion: np.ndarray,
    base: np.ndarray,
    *,
    copies: int,
    grade: str = "A",
    look: int = 1,
    behavior: np.ndarray | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> PlaceboOutcome:
    """Learn, choose and gate on permuted copies of a log.

    Args:
        dataset: the log, unknown ends marked.
        champion: float64 (N + E, A), the champion's probabilities, floor included.
        base: float64 (N + E, A), the same without floor.
        copies: how many.
        grade: of the log.
        look: j of the gate that is imitated.
        behavior: float64 (N, A), the estimated behaviour policy where the log has no propensities.
        seed: of the permutations.
        progress: told the number of copies done.

    Raises:
        DataError: no copy, or a split without episodes.
    """
    if copies < 1:
        raise DataError(f"{copies} copies", where="placebo", remedy="ask for at least one; 200 tell most")
    train, select, final = (episodes_in(dataset, name) for name in ("train", "select", "final"))
    for name, side in (("train", train), ("select", select), ("final", final)):
        if not side.any():
            raise DataError(f"no episode in {name}", where="placebo", remedy="log more decisions")
    permuter = Permuter.of(dataset)
    rng = np.random.default_rng([seed, 271])
    first = permuter.copy(rng)
    learner = PlaceboLearner(first, base, seed=seed)
    cells = TabularModel(learner.states, learner.state_count, base.shape[1])
    sides = Sides(tested=final, selected=select, fitted=train | select)
    counts: Counter[str] = Counter()
    tested = 0
    for index in range(copies):
        copy = permuter.copy(rng)
        variants = learner.variants(copy.rewards)
        judge = Judge(
            copy, champion, evaluated=select, fitted=train, folds=0, behavior=behavior,
            models={"cells": cells}, grade=grade,
        )  # fmt: skip
        theirs = judge.champion["cells"][0]
        gains = [
            paired_estimate(ours, theirs, overlap=judge.rule, units=judge.units, marginal=judge.marginal)
            for ours in judge.trajectories(variants)["cells"]
        ]
        chosen = list(finalists(gains))
        if chosen:
            request = gate_request(
                copy, champion, variants[chosen], sides, grade=grade, look=look, behavior=behavior,
                models={"cells": cells}, folds=0, planning=Planning(resamples=0),
            )  # fmt: skip
            decision = decide(request)
            counts[decision.decision] += 1
            tested += decision.alpha > 0
        else:
            counts[KEEP] += 1
        if progress:
            progress(index + 1)
    return PlaceboOutcome(copies, counts[PROMOTE], alpha_at(look), look, tested, dict(counts))
