"""Overlap by region and Bellman error, against what dynamic programming says they are."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from algorithms.ope.diagnostics import bellman_error, overlap_by_region, state_regions
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError
from tests.worlds import chain

TARGET = np.array([[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]])


def visits(world, policy):
    """Expected number of decisions in each state, by dynamic programming."""
    mass, total = world.start.copy(), np.zeros(3)
    for _ in range(world.horizon):
        total += mass
        mass = np.einsum("s,sa,sa,sap->p", mass, policy, 1 - world.end, world.move)
    return total


def test_shares_of_log_and_policy_are_the_visits_of_both(exact_log):
    world, behaviour, batch = exact_log
    found = overlap_by_region(world.trajectories(batch, behaviour, TARGET), batch.states)
    assert [region.target_share for region in found] == sorted((r.target_share for r in found), reverse=True)
    for policy, share in ((behaviour, "logged_share"), (TARGET, "target_share")):
        expected = visits(world, policy) / visits(world, policy).sum()
        for region in found:
            assert getattr(region, share) == pytest.approx(expected[int(region.region)], abs=1e-10)
    assert sum(region.decisions for region in found) == batch.active.sum()
    assert abs(visits(world, TARGET) / visits(world, TARGET).sum() - found[0].logged_share).min() > 1e-3


def test_effective_numbers_by_hand():
    """Region a: weights 1, 1 and 4 of three episodes; region b, one step later: 2 of the first, 0 of the second."""
    with np.errstate(divide="ignore"):
        ratios = np.log([[1.0, 2.0], [1.0, 0.0], [4.0, 1.0]])
    active = np.array([[True, True], [True, True], [True, False]])
    trajectories = Trajectories(np.zeros((3, 2)), np.where(active, ratios, 0.0), active)
    regions = np.array([["a", "b"], ["a", "b"], ["a", ""]])
    by_name = {region.region: region for region in overlap_by_region(trajectories, regions)}
    assert set(by_name) == {"a", "b"}
    assert by_name["a"].effective == pytest.approx(36 / 18) and by_name["a"].largest_share == pytest.approx(4 / 6)
    assert by_name["b"].effective == 1.0 and by_name["b"].units == 2 and by_name["b"].decisions == 2
    # Episodes 1 and 2 as one unit: weights 2 and 4.
    together = overlap_by_region(trajectories, regions, units=np.array(["x", "x", "y"]))
    assert {r.region: r.effective for r in together}["a"] == pytest.approx(36 / 20)
    assert by_name["a"].target_share == pytest.approx(1 / (1 + 2 / 6))  # at step 1, 2 of 6 still run
    expected = "a: 75 % of the policy's decisions, 60 % of the log's; 2 effective of 3 units, the largest has 67 %"
    assert by_name["a"].sentence == f"{expected} of the weight"
    assert json.dumps([asdict(region) for region in together])
    with pytest.raises(DataError, match="regions have shape"):
        overlap_by_region(trajectories, regions[:2])


def test_regions_are_named_by_what_sets_them_apart():
    integers = chain(5, horizon=6).log(np.full((5, 2), 0.5), 60, 0)
    labels = state_regions(integers)
    assert set(labels) == {f"state = {state}" for state in range(4)}
    vectors = chain(5, horizon=6, vector=True).log(np.full((5, 2), 0.5), 60, 0)
    cells = state_regions(vectors, count=3)
    assert len(set(cells)) == 3
    rows = vectors.observations[vectors.rows]
    for label in set(cells):
        middle = np.median(rows[cells == label], axis=0)
        assert f"position near {middle[0]:.3g}" in label and f"depth near {middle[1]:.3g}" in label


def groups_of(batch):
    return 2 * batch.states + batch.actions


def test_an_exact_model_shows_noise_alone_and_a_wrong_one_its_error(bigger):
    behaviour = np.full((4, 3), 1 / 3)
    target = np.random.default_rng(0).dirichlet(np.ones(3), 4)
    exact = bigger.q_values(target)
    batch = bigger.draw(behaviour, 4_000, np.random.default_rng(1))
    right = bellman_error(bigger.trajectories(batch, behaviour, target, exact), 3 * batch.states + batch.actions)
    assert right.systematic < 0.05 and abs(right.mean) < 0.03
    assert right.root_mean_square > 1.0  # the rewards' noise alone has deviation 1
    # Q̂ wrong by ± d in one action of each state, alternating with the steps to go so that V̂ stays out of it.
    wrong = exact.copy()
    wrong[1:, :, 0] += np.array([0.5, -0.5, 0.5, -0.5])
    found = bellman_error(
        bigger.trajectories(batch, behaviour, target, wrong), 3 * batch.states + batch.actions, model="table"
    )
    # The truth at each logged decision: wrong Q less the backup of wrong V, by dynamic programming.
    errors = []
    for steps in range(1, bigger.horizon + 1):
        value = (target * wrong[steps - 1]).sum(axis=1)
        backup = bigger.base + bigger.discount * (1 - bigger.end) * (bigger.move @ value)
        errors.append(backup - wrong[steps])
    to_go = bigger.horizon - np.arange(bigger.horizon)
    at = np.array(errors)[to_go - 1, np.maximum(batch.states, 0), batch.actions][batch.active]
    code = (3 * batch.states + batch.actions)[batch.active]
    group_means = np.bincount(code, weights=at) / np.bincount(code)
    assert found.systematic == pytest.approx(np.sqrt(np.mean(group_means[code] ** 2)), abs=0.04)
    assert found.mean == pytest.approx(at.mean(), abs=0.04)
    assert found.systematic > 0.2 > right.systematic and found.explained < right.explained
    assert found.systematic <= np.sqrt(np.mean(at**2)) + 0.03
    assert found.sentence.startswith("table: off by") and json.dumps(asdict(found))


def test_noise_is_removed_without_bias(bigger):
    """Few decisions a group: the naive root of squared means shows an error of an exact model, this one none."""
    behaviour = np.full((4, 3), 1 / 3)
    exact = bigger.q_values(behaviour)
    naive, unbiased = [], []
    for seed in range(40):
        batch = bigger.draw(behaviour, 30, np.random.default_rng(seed))
        trajectories = bigger.trajectories(batch, behaviour, behaviour, exact)
        code = 3 * batch.states + batch.actions
        unbiased.append(bellman_error(trajectories, code).systematic ** 2)
        delta = (trajectories.rewards + trajectories.v_values[:, 1:] - trajectories.q_values)[batch.active]
        _, flat = np.unique(code[batch.active], return_inverse=True)
        means = np.bincount(flat, weights=delta) / np.bincount(flat)
        naive.append(np.mean(means[flat] ** 2))
    # Cut at 0, so a little above it; a fifth of the naive figure.
    assert np.mean(unbiased) < 0.35 * np.mean(naive)


def test_a_model_is_needed():
    trajectories = Trajectories(np.zeros((2, 1)), np.zeros((2, 1)), np.ones((2, 1), dtype=bool))
    with pytest.raises(DataError, match="no model values"):
        bellman_error(trajectories, np.zeros((2, 1)))
