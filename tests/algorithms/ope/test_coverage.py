"""95 % intervals cover the truth in 95 % of logs, at the smallest overlap that is not refused."""

import numpy as np
import pytest
from scipy import stats

from algorithms.ope.overlap import NO_RULE
from algorithms.ope.paired import paired_estimate
from algorithms.ope.registry import ESTIMATORS

# (horizon, step towards another rule, estimators whose stated overlap the cell is at or above)
CELLS = {
    "H1, overlap 15 %": (1, 1.0, ("ips", "snips", "doubly_robust", "paired")),
    "H8, overlap 27 %": (8, 0.19, ("ips", "snips", "pdis", "weighted_pdis", "doubly_robust", "paired")),
    "H8, overlap 15 %": (8, 0.25, ("pdis", "weighted_pdis", "doubly_robust", "paired")),
}


def coverage(world, step, names, logs, episodes=1_500, seed=0):
    rule, other = np.eye(3)[[0, 1, 2, 0]], np.eye(3)[[1, 2, 0, 1]]
    behaviour = 0.7 * rule + 0.1
    target = (1 - step) * behaviour + step * (0.7 * other + 0.1)
    truth = world.value(target)
    gain = truth - world.value(behaviour)
    # A model that is wrong in scale and level: the estimators must cover without its help.
    candidate_model, champion_model = (world.q_values(policy) * 0.7 + 0.2 for policy in (target, behaviour))
    candidate_model[0] = champion_model[0] = 0.0
    rng = np.random.default_rng(seed)
    hits = dict.fromkeys(names, 0)
    fraction = 0.0
    for _ in range(logs):
        batch = world.draw(behaviour, episodes, rng)
        trajectories = world.trajectories(batch, behaviour, target, candidate_model)
        for name in names:
            if name == "paired":
                champion = world.trajectories(batch, behaviour, behaviour, champion_model)
                estimate, true = paired_estimate(trajectories, champion, overlap=NO_RULE), gain
            else:
                estimate, true = ESTIMATORS[name](trajectories, overlap=NO_RULE), truth
            hits[name] += estimate.lower <= true <= estimate.upper
            fraction += estimate.effective_sample_size / episodes / len(names) / logs
    return hits, fraction


def assert_covers(bigger, cell, logs):
    from dataclasses import replace

    horizon, step, names = CELLS[cell]
    hits, fraction = coverage(replace(bigger, horizon=horizon), step, names, logs)
    assert fraction == pytest.approx(float(cell.split()[-2]) / 100, abs=0.02)
    for name, count in hits.items():
        assert stats.binomtest(count, logs, 0.95, alternative="less").pvalue > 0.01, (name, count / logs)


@pytest.mark.parametrize("cell", CELLS)
def test_intervals_cover(bigger, cell):
    assert_covers(bigger, cell, 300)


@pytest.mark.full
@pytest.mark.parametrize("cell", CELLS)
def test_intervals_cover_over_2000_logs(bigger, cell):
    assert_covers(bigger, cell, 2_000)


def test_below_the_stated_overlap_snips_does_not_cover(bigger):
    """Why it refuses there; when this fails, the rule may be loosened."""
    from dataclasses import replace

    hits, fraction = coverage(replace(bigger, horizon=8), 0.45, ("snips",), 300)
    assert fraction < 0.05
    assert stats.binomtest(hits["snips"], 300, 0.95, alternative="less").pvalue < 0.01
