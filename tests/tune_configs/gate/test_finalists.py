"""Who stands before the gate."""

import math
from dataclasses import replace

from algorithms.ope.estimate import Estimate
from tune_configs.gate.finalists import finalists

GAIN = Estimate(1.0, 0.0, 2.0, 0.95, "paired_doubly_robust", 150.0, 200)


def test_the_largest_lower_bounds_of_what_the_log_reaches_and_gains():
    lowers = [0.1, -0.5, 0.7, 0.3, 0.3, 0.2, 0.0]
    gains = [replace(GAIN, lower=lower) for lower in lowers]
    assert finalists(gains) == (2, 3, 4, 5, 0)
    # The largest mean is not asked for, and what was refused or loses never takes a share of α.
    gains[1] = replace(gains[1], value=100.0)
    gains[2] = replace(gains[2], refused="overlap too small")
    gains[3] = replace(gains[3], value=-0.1)
    gains[4] = replace(gains[4], value=math.nan, lower=math.nan)
    assert finalists(gains) == (5, 0, 6, 1)
    assert finalists([]) == ()
