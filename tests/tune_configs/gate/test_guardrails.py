"""Non-inferiority: its level, also for skewed measures, and what it says."""

import numpy as np
import pytest
from scipy import stats

from envs.errors import DataError
from tune_configs.gate.guardrails import Guardrail, guardrail_outcome, guardrail_outcomes


def at_most(count, runs, level):
    return stats.binomtest(int(count), runs, level, alternative="greater").pvalue > 0.01


def held(differences, margin, level, **more):
    return guardrail_outcome(Guardrail("g", np.atleast_2d(differences), margin, **more), 0, level).verdict == "held"


def test_non_inferiority_is_intersection_union():
    rng = np.random.default_rng(10)
    margin, level, runs = 0.3, 0.05, 400
    errors = both = 0
    for _ in range(runs):
        bad, fine = rng.normal(size=(1, 100)) - margin, rng.normal(size=(1, 100)) + 1.0
        errors += held(bad, margin, level)
        rails = (Guardrail("one", bad, margin), Guardrail("two", fine, margin))
        both += all(outcome.verdict == "held" for outcome in guardrail_outcomes(rails, 0, level))
    assert at_most(errors, runs, level) and both <= errors
    # The level is used, not only kept.
    assert errors > 0.5 * level * runs


def test_a_skewed_measure_keeps_the_level_where_students_t_does_not():
    """Latencies: a log without its slowest units shows too small a mean and too small a spread at once."""
    rng = np.random.default_rng(11)
    margin, level, runs, units = 0.2, 0.0034, 4_000, 200
    by_t = ours = 0
    for _ in range(runs):
        costs = rng.lognormal(0.0, 1.0, (2, units)) - np.exp(0.5)
        differences, reference = -costs[:1] - margin, -costs[1:]
        statistic = np.sqrt(units) * (differences.mean() + margin) / differences.std(ddof=1)
        if statistic > stats.t.isf(level, units - 1):  # which no measure that is held falls short of
            by_t += 1
            ours += held(differences, margin, level, reference=reference)
    assert not at_most(by_t, runs, level)
    assert ours < 0.25 * by_t and at_most(ours, runs, 2 * level)


def test_the_outcome_speaks_of_the_measure_and_not_of_its_sign():
    """Latency rises by .5 with certainty of ± .1: the differences, larger better, are -.5."""
    half = np.random.default_rng(0).normal(size=200)
    rise = -0.5 + np.concatenate([half, -half])
    lower = guardrail_outcome(Guardrail("latency", rise[None], 0.1, direction="lower"), 0, 0.05)
    assert lower.change == pytest.approx(0.5) and lower.bound > lower.change and lower.verdict == "broken"
    higher = guardrail_outcome(Guardrail("throughput", rise[None], 0.1, direction="higher"), 0, 0.05)
    assert higher.change == pytest.approx(-0.5) and higher.bound < higher.change and higher.verdict == "broken"
    assert higher.bound == pytest.approx(-0.5 - stats.t.isf(0.05, 399) * rise.std(ddof=1) / 20)
    assert guardrail_outcome(Guardrail("g", rise[None], 0.45), 0, 0.05).verdict == "open"
    assert guardrail_outcome(Guardrail("g", rise[None], 0.9), 0, 0.05).verdict == "held"


def test_a_measure_that_never_changes_needs_room():
    assert held(np.zeros(50), 0.1, 0.05) and not held(np.zeros(50), 0.0, 0.05)
    assert not held(np.full(50, -0.2), 0.1, 0.05) and not held(np.zeros(1), 0.1, 0.05)
    with pytest.raises(DataError, match=r"guardrail g.*positive number"):
        held(np.zeros(50), -0.1, 0.05)
