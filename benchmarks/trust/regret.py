"""How much is lost by the policy that is chosen from twenty, and are the twenty ranked as they are?"""

from __future__ import annotations

import numpy as np
from scipy import stats

from benchmarks.rows import Row
from benchmarks.trust.request import Request
from benchmarks.trust.sequential_logs import Answers, answers

LARGEST_REGRET, LEAST_CORRELATION = 0.05, 0.8
REGRET = f"regret@1 at most {LARGEST_REGRET} of the spread of values"
RANKS = f"Spearman's rank correlation with the truth at least {LEAST_CORRELATION}"
BESIDE = "regret@1 at most that of the rival on the same logs"


def measure(request: Request) -> list[Row]:
    """Rows for each world; ours is what ``tune`` recommends by, from ``train`` and ``select``."""
    return [row for found in answers(request) for row in rows_of(found)]


def rows_of(found: Answers) -> list[Row]:
    """Ours beside the limits, then beside every rival."""
    name = found.candidates.name
    ours = mean_regret(found, "score")
    ranks = mean_correlation(found, "score")
    rows = [
        Row(name, "regret@1", "of spread", ours, "limit", LARGEST_REGRET, REGRET, ours <= LARGEST_REGRET),
        Row(name, "Spearman", "", ranks, "limit", LEAST_CORRELATION, RANKS, ranks >= LEAST_CORRELATION),
    ]
    last = float(np.mean([found.candidates.regret_of_value(value) for value in found.candidates.last]))
    # SCOPE-RL leaves the estimator to its user: the best of them in hindsight stands for it.
    scope_rl = min(sorted(found.scope_rl), key=lambda each: mean_regret(found, each))
    rivals = {
        "fitted Q evaluation alone": mean_regret(found, "fqe"),
        "last checkpoint": last,
        "d3rlpy, fitted Q evaluation": mean_regret(found, "SCOPE-RL dm"),
        f"{scope_rl}, best in hindsight": mean_regret(found, scope_rl),
    }
    for rival, regret in rivals.items():
        rows.append(Row(name, "regret@1", "of spread", ours, rival, regret, BESIDE, ours <= regret))
    return rows


def mean_regret(found: Answers, who: str) -> float:
    """Mean share of the spread that is lost by the policy of the largest answer."""
    return float(np.mean([found.candidates.regret(int(np.argmax(said))) for said in found.said[who]]))


def mean_correlation(found: Answers, who: str) -> float:
    """Mean of Spearman's correlation between answers and truths over the logs."""
    truths = found.candidates.truths
    return float(np.mean([stats.spearmanr(said, truths).statistic for said in found.said[who]]))
