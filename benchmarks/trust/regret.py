"""How much is lost by the policy that is chosen from twenty, and are the twenty ranked as they are?"""

from __future__ import annotations

import numpy as np
from scipy import stats

from benchmarks.rows import Row
from benchmarks.trust.request import Request
from benchmarks.trust.sequential_logs import Answers, answers, own_answers

LARGEST_REGRET, LEAST_CORRELATION = 0.05, 0.8
REGRET = f"regret@1 at most {LARGEST_REGRET} of the spread of values"
RANKS = f"Spearman's rank correlation with the truth at least {LEAST_CORRELATION}"
BESIDE = "regret@1 at most that of the rival on the same logs"


def measure(request: Request) -> list[Row]:
    """Rows for each world, from ``train`` and ``select``: ours on many logs, then beside the peers on few."""
    own = [row for found in own_answers(request) for row in own_rows(found)]
    return own + [row for found in answers(request) for row in peer_rows(found)]


def own_rows(found: Answers) -> list[Row]:
    """Ours beside the limits, where models are not wrong, and beside what needs no peer."""
    ours, ranks = mean_regret(found, "ranking"), mean_correlation(found, "ranking")
    name = case_of(found)
    rows = [
        Row(name, "regret@1", "of spread", ours, "limit", LARGEST_REGRET, REGRET, ours <= LARGEST_REGRET),
        Row(name, "Spearman", "", ranks, "limit", LEAST_CORRELATION, RANKS, ranks >= LEAST_CORRELATION),
    ]
    last = float(np.mean([found.candidates.regret_of_value(value) for value in found.candidates.last]))
    rivals = {"fitted Q evaluation alone": mean_regret(found, "fqe"), "last checkpoint": last}
    beside = [beside_row(found, rival, regret) for rival, regret in rivals.items()]
    return beside if found.candidates.misleading else rows + beside


def peer_rows(found: Answers) -> list[Row]:
    """Ours beside the peers on the same logs."""
    # SCOPE-RL leaves the estimator to its user: the best of them in hindsight stands for it.
    scope_rl = min(sorted(found.scope_rl), key=lambda each: mean_regret(found, each))
    rivals = {"d3rlpy, fitted Q evaluation": "SCOPE-RL dm", f"{scope_rl}, best in hindsight": scope_rl}
    return [beside_row(found, rival, mean_regret(found, who)) for rival, who in rivals.items()]


def beside_row(found: Answers, rival: str, regret: float) -> Row:
    """Our mean regret beside a rival's."""
    ours = mean_regret(found, "ranking")
    return Row(case_of(found), "regret@1", "of spread", ours, rival, regret, BESIDE, ours <= regret)


def case_of(found: Answers) -> str:
    """The world, the number of logs, and the standard error of our mean regret."""
    regrets = regrets_of(found, "ranking")
    error = float(regrets.std(ddof=1) / np.sqrt(len(regrets))) if len(regrets) > 1 else float("nan")
    return f"{found.candidates.name}, {len(regrets)} logs, ± {error:.2g}"


def regrets_of(found: Answers, who: str) -> np.ndarray:
    """Share of the spread that is lost on each log by the policy of the largest answer, float64 (L,)."""
    return np.array([found.candidates.regret(int(np.argmax(said))) for said in found.said[who]])


def mean_regret(found: Answers, who: str) -> float:
    """Mean of :func:`regrets_of`."""
    return float(regrets_of(found, who).mean())


def mean_correlation(found: Answers, who: str) -> float:
    """Mean of Spearman's correlation between answers and truths over the logs."""
    truths = found.candidates.truths
    return float(np.mean([stats.spearmanr(said, truths).statistic for said in found.said[who]]))
