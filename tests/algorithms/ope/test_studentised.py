"""The law of a skewed mean's t is that of whole logs drawn unit by unit, and does not depend on units of measure."""

import numpy as np
import pytest
from scipy import stats

from algorithms.ope.studentised import CriticalValues, StudentisedLaw


def drawn(population, units, reference, logs=12_000):
    """T* as it is defined."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(logs // 1_000):
        rows = (population - population.mean())[rng.integers(len(population), size=(1_000, units + reference))]
        variance = own = rows[:, :units].var(axis=1, ddof=1)
        if reference:
            together = (units * own + reference * rows[:, units:].var(axis=1, ddof=1)) / (units + reference)
            variance = np.maximum(own, together)
        found.append(np.sqrt(units) * rows[:, :units].mean(axis=1) / np.sqrt(variance))
    return np.concatenate(found)


def heavy(size):
    """Costs under a weight of 20 in one of twenty decisions."""
    rng = np.random.default_rng(0)
    return np.where(rng.random(size) < 0.05, 20.0, 0.0) * (1.0 - rng.exponential(size=size))


@pytest.mark.parametrize(("units", "reference"), [(120, 50), (900, 390), (900, 0)])
def test_quantiles_are_those_of_logs_drawn_unit_by_unit(units, reference):
    population = heavy(3_000)
    law, truth = StudentisedLaw(population, units, reference, 0.005), drawn(population, units, reference)
    for level in (0.2, 0.05, 0.01):
        upper, lower = np.quantile(truth, 1.0 - level), -np.quantile(truth, level)
        assert law.upper(level) == pytest.approx(upper, abs=0.12), level
        assert law.lower(level) == pytest.approx(lower, abs=0.12), level
    if units > 500:  # of fewer units hardly one has a large weight
        assert law.upper(0.01) > stats.t.isf(0.01, units - 1) + 0.1 > law.lower(0.01) + 0.3


def test_neither_unit_nor_origin_matters_and_a_mirror_mirrors():
    population = heavy(2_000)
    law = StudentisedLaw(population, 300, 100, 0.01)
    moved = StudentisedLaw(7.0 + 1e-4 * population, 300, 100, 0.01)
    assert moved.upper(0.01) == pytest.approx(law.upper(0.01), abs=1e-6)
    mirror = StudentisedLaw(-population, 300, 100, 0.01)
    assert mirror.lower(0.02) == pytest.approx(law.upper(0.02), abs=0.15)


def test_normal_units_have_students_law_and_levels_beyond_the_draws_go_on():
    law = StudentisedLaw(np.random.default_rng(2).normal(size=20_000), 200, 0, 1e-3)
    for level in (0.05, 0.005):
        assert law.upper(level) == pytest.approx(stats.t.isf(level, 199), abs=0.1)
    steps = [law.upper(level) for level in (1e-3, 1e-4, 1e-5, 1e-7)]
    students = stats.t.isf([1e-3, 1e-4, 1e-5, 1e-7], 199)
    assert np.all(np.diff(steps) >= 0.9 * np.diff(students)) and steps[-1] < students[-1] + 2.0
    # What does not vary convinces nobody, and leaves Student's quantile.
    assert CriticalValues([np.full(50, 3.0)], 40, 10, 0.01).above(stats.t.isf(0.01, 39)) == stats.t.isf(0.01, 39)


def test_of_very_many_units_students_quantile_is_left_however_few_they_are_drawn_from():
    population = 1.0 - np.random.default_rng(3).lognormal(size=370)
    for units, reference in ((1_233, 500), (4_931, 2_000), (123_269, 50_000)):
        law = StudentisedLaw(population, units, reference, 0.01)
        assert law.upper(0.01) == pytest.approx(stats.t.isf(0.01, units - 1), abs=0.25), units
        assert law.upper(0.5) == pytest.approx(0.0, abs=0.1), units


def test_logs_that_do_not_vary_convince_nobody_and_make_no_critical_value():
    """A difference in two units of a thousand: one drawn log in seven has none of them."""
    population = np.where(np.arange(1_000) < 2, -1.0, 0.0)
    law = StudentisedLaw(population, 1_000, 430, 0.01)
    assert np.isfinite(law.upper(0.01)) and abs(law.upper(0.01)) < 50.0 and law.lower(0.01) < 5.0
    values = CriticalValues([population, np.zeros(10)], 1_000, 430, 0.01)
    assert stats.t.isf(0.01, 999) <= values.above(stats.t.isf(0.01, 999)) < 50.0


@pytest.mark.parametrize("draws", [100, 1_000, 8_366, 12_345])
def test_any_number_of_draws_will_do(draws):
    law = StudentisedLaw(np.random.default_rng(4).normal(size=500), 200, 0, 1e-4, draws=draws)
    assert law.upper(1e-4) == pytest.approx(stats.t.isf(1e-4, 199), abs=1.0)
    assert law.upper(1e-4) > law.upper(1e-3) > law.upper(0.01)
