"""Limited weights: their ends are known estimators, the chosen limit is the least, and it is worth its bias."""

import numpy as np
import pytest

from algorithms.ope.clipped_per_decision import clipped_pdis, clipped_weighted_pdis
from algorithms.ope.direct_method import direct_method
from algorithms.ope.doubly_robust import doubly_robust
from algorithms.ope.doubly_robust_shrinkage import doubly_robust_shrinkage, shrunk_weights
from algorithms.ope.overlap import NO_RULE
from algorithms.ope.per_decision import pdis, weighted_pdis
from algorithms.ope.switch_doubly_robust import switch_doubly_robust, switched_weights
from algorithms.ope.trajectories import Trajectories
from algorithms.ope.weight_limits import powers_below
from envs.errors import DataError
from tests.algorithms.ope.test_invariances import random_trajectories

SETTINGS = {
    "clipped_pdis": (clipped_pdis, "clip", pdis),
    "clipped_weighted_pdis": (clipped_weighted_pdis, "clip", weighted_pdis),
    "switch_doubly_robust": (switch_doubly_robust, "threshold", doubly_robust),
    "doubly_robust_shrinkage": (doubly_robust_shrinkage, "shrinkage", doubly_robust),
}
TRUTH = 1.25


def heavy_tailed(rng, episodes=400, spread=1.5):
    """Single decisions with log-normal weights; the model is .2 too high.

    The logged action is z of N(0, 1), the policy's of N(spread, 1); z above the spread earns 1.5 on average, else 1.
    """
    z = rng.normal(size=episodes)
    mean = 1.0 + 0.5 * (z > spread)
    v = np.column_stack([np.full(episodes, TRUTH + 0.2), np.zeros(episodes)])
    return Trajectories(
        (mean + rng.normal(size=episodes))[:, None],
        (spread * z - spread**2 / 2)[:, None],
        np.ones((episodes, 1), dtype=bool),
        q_values=mean[:, None] + 0.2,
        v_values=v,
    )


@pytest.mark.parametrize("name", SETTINGS)
def test_no_limit_is_the_estimator_it_came_from(name):
    each, setting, whole = SETTINGS[name]
    for seed in range(5):
        trajectories = random_trajectories(seed, name, spread=2.0)
        ours, theirs = each(trajectories, overlap=NO_RULE, **{setting: np.inf}), whole(trajectories, overlap=NO_RULE)
        assert (ours.value, ours.lower, ours.upper) == pytest.approx((theirs.value, theirs.lower, theirs.upper))
        assert ours.diagnostics["bias_bound"] == ours.diagnostics["removed_weight"] == 0.0


@pytest.mark.parametrize("name", ["switch_doubly_robust", "doubly_robust_shrinkage"])
def test_the_smallest_limit_is_the_direct_method(name):
    each, setting, _ = SETTINGS[name]
    trajectories = random_trajectories(1, name)
    assert each(trajectories, overlap=NO_RULE, **{setting: 0.0}).value == direct_method(trajectories).value


def test_limits_by_hand():
    weights = np.array([0.5, 1.0, 2.0, 8.0])
    assert shrunk_weights(weights, 4.0) == pytest.approx([2 / 4.25, 4 / 5, 1.0, 32 / 68])
    assert shrunk_weights(weights, np.inf).tolist() == weights.tolist()
    assert shrunk_weights(np.linspace(0, 50, 501), 16.0).max() == pytest.approx(2.0)  # √λ / 2
    assert switched_weights(weights, 2.0).tolist() == [0.5, 1.0, 2.0, 0.0]
    assert powers_below(9.0) == [np.inf, 8.0, 4.0, 2.0, 1.0]
    assert powers_below(8.0) == [np.inf, 4.0, 2.0, 1.0]
    assert powers_below(0.3) == [np.inf]


def test_what_was_cut_by_hand():
    """Weights 1, 1, 1 and 5, rewards 1, 0, 2 and 3, clipped at 2: three of eight parts are cut, 9/4 of the value."""
    log = Trajectories(
        np.array([[1.0], [0.0], [2.0], [3.0]]), np.log([[1.0], [1.0], [1.0], [5.0]]), np.ones((4, 1), dtype=bool)
    )
    found = clipped_pdis(log, overlap=NO_RULE, clip=2.0)
    assert found.value == (1 + 0 + 2 + 6) / 4
    assert found.diagnostics["removed_weight"] == pytest.approx(3 / 8)
    assert found.diagnostics["bias_bound"] == pytest.approx(np.sqrt(3 / 4 * 3 * 9 / 4)) == pytest.approx(9 / 4)
    reach = (found.upper - found.lower) / 2
    plain = clipped_pdis(log, overlap=NO_RULE, clip=np.inf)
    assert plain.value - found.value == pytest.approx(found.diagnostics["bias_bound"])  # one row is cut: no slack
    assert reach == pytest.approx(3.1824463 * found.diagnostics["standard_error"] + 9 / 4)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_chosen_limit_has_the_least_error_and_bias(name):
    each, setting, _ = SETTINGS[name]
    for seed in range(5):
        trajectories = random_trajectories(seed, name, spread=2.0)
        units = np.arange(len(trajectories)) // 3

        def squared(trajectories=trajectories, units=units, **given):
            found = each(trajectories, overlap=NO_RULE, units=units, **given).diagnostics
            return found["standard_error"] ** 2 + found["bias_bound"] ** 2

        others = [squared(**{setting: 2.0**power}) for power in range(21)]
        assert squared() <= min(others) * (1 + 1e-12)
        assert squared() <= squared(**{setting: np.inf}) * (1 + 1e-12)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_limit_is_worth_its_bias_where_weights_are_heavy_tailed(name):
    """A smaller mean squared error than that of the estimator it came from, by intervals that cover no less."""
    each, setting, whole = SETTINGS[name]
    rng = np.random.default_rng(0)
    logs = [heavy_tailed(rng) for _ in range(200)]
    ours, theirs = ([found(log, overlap=NO_RULE) for log in logs] for found in (each, whole))
    error, before = (np.mean([(found.value - TRUTH) ** 2 for found in every]) for every in (ours, theirs))
    covered, covered_before = (np.mean([e.lower <= TRUTH <= e.upper for e in every]) for every in (ours, theirs))
    assert error < 0.95 * before
    assert covered >= covered_before - 0.02
    assert np.mean([np.isfinite(found.diagnostics[setting]) for found in ours]) > 0.2


@pytest.mark.parametrize("name", SETTINGS)
def test_a_limit_must_be_one(name):
    each, setting, _ = SETTINGS[name]
    for wrong in (-1.0, np.nan):
        with pytest.raises(DataError, match=setting):
            each(random_trajectories(0, name), **{setting: wrong})
