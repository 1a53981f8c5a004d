"""The tail condition bars what one unit could undo, and does not bar a long log for being long."""

import numpy as np
from scipy import stats

from tune_configs.gate.asymptotic import step_down
from tune_configs.gate.budget import leg_level
from tune_configs.gate.tail import TailEvidence, largest_difference, tail_failure

UNITS = 6_000


def holds(differences):
    returns = np.random.default_rng(0).normal(size=len(differences))
    return not tail_failure(TailEvidence(returns), differences, 0)


def test_one_unit_may_carry_a_tenth_of_the_sum_of_squares():
    differences = np.tile([1.0, -1.0], UNITS // 2)
    for share, allowed in ((0.09, True), (0.11, False)):
        far = differences.copy()
        far[0] = np.sqrt(share / (1.0 - share) * (UNITS - 1))
        assert holds(far) is allowed
    assert largest_difference(350) == largest_difference(2_250) == 15.0 < largest_difference(2_300)


def test_each_failure_of_an_undeclared_class_names_the_remedy():
    ordinary, far = np.tile([1.0, -1.0], UNITS // 2), np.eye(1, UNITS)[0]
    for returns, differences in ((ordinary, far), (far, ordinary), (ordinary + 1e3 * far, ordinary)):
        assert tail_failure(TailEvidence(returns), differences, 0).endswith("(declare its worst_class)")
    wide = TailEvidence(ordinary, declared=1e3)
    assert tail_failure(wide, ordinary, 0).endswith("(declare its worst_class)")


def test_a_few_catastrophes_do_not_make_their_own_range_small():
    """Of 450 units one lost 100: ten times the deviation, and a declared range of 300 looked like one of 60."""
    ordinary = np.random.default_rng(3).uniform(-1.0, 1.0, 450)
    differences = np.zeros(450)
    for hit, allowed in ((0, False), (1, False), (9, False), (10, False), (100, True)):
        returns = ordinary - 100.0 * (np.arange(450) < hit)
        for declared in (300.0, 100.0 + 2.0):
            evidence = TailEvidence(returns, declared=declared)
            assert (not tail_failure(evidence, differences, 0)) is allowed, (hit, declared)


def test_equal_returns_are_equal_whatever_the_last_bit_says():
    returns = np.where(np.arange(1_000) < 3, -1.0, 0.1)
    assert "have the same return" in tail_failure(TailEvidence(returns), np.zeros(1_000), 0)


def test_a_long_log_of_weighted_costs_is_not_barred_for_its_length():
    """Skewed costs under weights: a unit more than 15 deviations out is in nearly every log, and undoes none."""
    rng = np.random.default_rng(1)
    logs = rng.lognormal(0.0, 0.8, (60, 2 * UNITS)) * -rng.exponential(size=(60, 2 * UNITS))
    sizes = np.abs(logs - logs.mean(axis=1, keepdims=True)).max(axis=1) / logs.std(axis=1)
    assert np.mean(sizes > 15.0) > 0.9
    assert np.mean([holds(each) for each in logs]) > 0.9


def test_no_undeclared_catastrophe_is_promoted_more_often_than_the_level():
    """Truly no better: a small gain in nearly all units pays for a catastrophe in one of some thousand."""
    rng, level = np.random.default_rng(2), leg_level(1)
    for size, rate in ((20.0, 1e-3), (25.0, 5e-4), (40.0, 3e-4)):
        promoted = 0
        for _ in range(5):
            logs = rng.normal(size=(400, UNITS)) + size * rate
            logs -= size * (rng.random(logs.shape) < rate)
            promoted += sum(step_down(each[None], 0.0, level).rejected[0] and holds(each) for each in logs)
        assert stats.binomtest(promoted, 2_000, level, alternative="greater").pvalue > 0.01, (size, rate, promoted)
