"""How many units have enough effective ones is a matter of luck, of the log at hand and of the next."""

import numpy as np
import pytest

from algorithms.ope.overlap import effective_error, effective_sample_size
from tune_configs.gate.planning import OverlapOdds


@pytest.mark.parametrize("spread", [0.5, 0.8])
def test_the_chance_of_enough_overlap_is_that_of_drawn_logs(spread):
    rng, units, minimum = np.random.default_rng(0), 200, 100.0
    for fresh in (150, 200, 250, 400):
        told, found = [], []
        for _ in range(400):
            now, later = spread * rng.normal(size=units), spread * rng.normal(size=fresh)
            odds = OverlapOdds(effective_sample_size(now), units, effective_error(now), minimum)
            told.append(odds.chance(fresh))
            found.append(effective_sample_size(later) >= minimum)
        assert np.mean(told) == pytest.approx(np.mean(found), abs=0.12)


def test_without_error_the_fewest_are_enough():
    odds = OverlapOdds(50.0, 200, 0.0, 100.0)
    assert odds.fewest == 400.0 and odds.chance(399.0) == 0.0 and odds.chance(400.0) == 1.0


def test_where_no_overlap_is_asked_for_any_number_has_enough():
    assert OverlapOdds(effective=3.0, units=300, error=0.5, minimum=0.0).chance(1.0) == 1.0
