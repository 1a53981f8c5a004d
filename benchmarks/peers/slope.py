"""The setting that Open Bandit Pipeline's tuning classes choose from a log, as they choose it by default.

Those classes came with its version 0.5, which does not install on the Python of the peers' environment. On its own
round rewards this chooses what ``DoublyRobustWithShrinkageTuning`` and ``SwitchDoublyRobustTuning`` of 0.5.7 choose.

Reference: Tucker & Lee (2021), Improved estimator selection for off-policy evaluation, after Su, Srinath &
Krishnamurthy (2020), Adaptive estimator selection for off-policy evaluation.
"""

import numpy as np
from scipy import stats

DELTA = 0.1
"""The default of those classes."""


def chosen_by_slope(rewards: np.ndarray) -> int:
    """The index of a setting, from estimated round rewards (K, n) under K settings, n of at least 2.

    From the widest one-sided interval to the narrowest, the last setting whose mean agrees with all before it.
    """
    count = rewards.shape[1]
    means = rewards.mean(axis=1)
    widths = rewards.std(axis=1) / np.sqrt(count - 1) * stats.t(count - 1).ppf(1 - DELTA)
    order = np.argsort(widths)[::-1]
    for place, each in enumerate(order):
        before = order[:place]
        if (np.abs(means[before] - means[each]) > widths[each] + (np.sqrt(6) - 1) * widths[before]).any():
            return int(order[place - 1])
    return int(order[-1])
