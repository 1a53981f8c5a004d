"""The rest of a cut episode: no value within the declared range makes the gain smaller than what is tested."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.ope.decoupled import decoupled_differences
from algorithms.ope.doubly_robust import doubly_robust_contributions, model_residuals
from algorithms.ope.padding import rest_bounds, trajectories_from
from algorithms.ope.paired import paired_difference, paired_estimate
from algorithms.ope.trajectories import Trajectories
from algorithms.ope.unseen_rest import least_returns, with_least_gain

EPISODES, HORIZON, DISCOUNT = 40, 5, 0.9


def pair(seed, *, known=True):
    """Candidate and champion on episodes of which about half were cut, some before their first decision counted."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, HORIZON + 1, EPISODES)
    active = np.arange(HORIZON) < lengths[:, None]
    cut = (lengths < HORIZON) & (rng.random(EPISODES) < 0.7)
    rest = np.full((EPISODES, 2), np.nan)
    rest[cut] = np.stack([-1.0 - rng.random(cut.sum()), 2.0 * rng.random(cut.sum())], axis=1)
    rewards = np.where(active, rng.normal(size=active.shape), 0.0)

    def side():
        inside = np.pad(active, ((0, 0), (0, 1)))
        inside[np.arange(EPISODES), lengths] = cut  # a model's value of what was cut off
        return Trajectories(
            rewards,
            np.where(active, rng.normal(scale=0.5, size=active.shape), 0.0),
            active,
            DISCOUNT,
            np.where(active, rng.normal(size=active.shape), 0.0),
            np.where(inside, rng.normal(size=inside.shape), 0.0),
            rest=rest if known else None,
        )

    return side(), side()


def difference_at(candidate, champion, share):
    """The paired differences where every rest lies so far between its bounds, the same under both."""
    cut = np.flatnonzero(np.isfinite(candidate.rest[:, 0]))
    value = candidate.rest[cut] @ [1.0 - share, share]
    sides = []
    for each in (candidate, champion):
        values = each.v_values.copy()
        values[cut, each.active[cut].sum(axis=1)] = value
        sides.append(doubly_robust_contributions(replace(each, v_values=values)))
    return sides[0] - sides[1]


@given(seed=st.integers(0, 10_000), share=st.floats(0.0, 1.0))
def test_no_rest_within_the_bounds_makes_the_gain_smaller(seed, share):
    candidate, champion = pair(seed)
    tested = paired_difference(candidate, champion)
    assert np.all(tested <= difference_at(candidate, champion, share) + 1e-9)
    ends = np.minimum(*(difference_at(candidate, champion, each) for each in (0.0, 1.0)))
    assert tested == pytest.approx(ends, abs=1e-9), "and one of the bounds makes it as small"


def test_a_policy_gains_nothing_over_itself_by_what_nobody_saw():
    candidate, _ = pair(3)
    assert paired_difference(candidate, candidate) == pytest.approx(np.zeros(EPISODES), abs=1e-12)


def test_what_was_not_cut_or_is_not_bounded_stays_as_it_is():
    candidate, champion = pair(4)
    least, _ = with_least_gain(candidate, champion)
    whole = ~np.isfinite(candidate.rest[:, 0])
    assert whole.any() and np.array_equal(least.v_values[whole], candidate.v_values[whole])
    assert not np.array_equal(least.v_values, candidate.v_values)
    free = pair(4, known=False)
    assert with_least_gain(*free) == free


def test_it_is_said_beside_the_number():
    said = paired_estimate(*pair(5), force=True).assumptions
    assert any("cut off" in text for text in said)
    assert not any("cut off" in text for text in paired_estimate(*pair(5, known=False), force=True).assumptions)


def test_decoupled_units_have_the_rest_that_the_tested_ones_have():
    candidate, champion = pair(6)
    known = decoupled_differences(*with_least_gain(candidate, champion), seed=1)
    assert np.array_equal(decoupled_differences(candidate, champion, seed=1), known)
    assert not np.array_equal(decoupled_differences(*pair(6, known=False), seed=1), known)


@given(seed=st.integers(0, 10_000), share=st.floats(0.0, 1.0))
def test_no_rest_makes_the_bet_against_the_gain_better(seed, share):
    candidate, _ = pair(seed)
    at = np.nan_to_num(candidate.rest @ [1.0 - share, share])
    returns = candidate.returns + DISCOUNT ** candidate.active.sum(axis=1) * at
    stakes = candidate.weights - 1.0
    assert np.all(stakes * least_returns(candidate) <= stakes * returns + 1e-9)


def test_the_bounds_are_those_of_the_decisions_that_are_left(world):
    """Two decisions at a discount of .5 and rewards of -2 to 1: between -3 and 1.5."""
    batch = world.draw(np.full((3, 2), 0.5), 200, np.random.default_rng(0))
    dataset = world.dataset(batch, np.full((3, 2), 0.5))
    declared = replace(dataset.specification, reward_range=(-2.0, 1.0), horizon=4)
    dataset = replace(dataset, specification=declared, terminated=np.zeros(len(dataset), dtype=bool))
    active = np.arange(4) < dataset.lengths[:, None]
    rest = rest_bounds(dataset, active, 0.5)
    assert set(dataset.lengths) >= {2} and rest[dataset.lengths == 2] == pytest.approx(
        np.array([[-3.0, 1.5]] * int((dataset.lengths == 2).sum()))
    )
    for change in ({"censoring": "random"}, {"reward_range": None}, {"inferred": ("reward_range",)}):
        assert rest_bounds(replace(dataset, specification=replace(declared, **change)), active, 0.5) is None


def test_a_last_decision_counts_whether_or_not_anything_was_observed_after_it(world):
    """Without an observation after it the decision that silenced an episode was left out, and a worse policy gained."""
    batch = world.draw(np.full((3, 2), 0.5), 200, np.random.default_rng(0))
    dataset = world.dataset(batch, np.full((3, 2), 0.5))
    declared = replace(dataset.specification, reward_range=(-9.0, 9.0), horizon=4, censoring="informative")
    dataset = replace(dataset, specification=declared, terminated=np.zeros(len(dataset), dtype=bool))
    rng = np.random.default_rng(1)
    targets = rng.dirichlet([2.0, 2.0], size=(2, len(dataset)))
    q, v = rng.normal(size=(2, len(batch.states), 4)), rng.normal(size=(2, len(batch.states), 5))

    def sides(known):
        seen = replace(dataset, end_known=np.full(dataset.episode_count, known))
        return [trajectories_from(seen, target, q=q_, v=v_) for target, q_, v_ in zip(targets, q, v, strict=True)]

    assert len(set(dataset.lengths)) > 1
    assert paired_difference(*sides(False)) == pytest.approx(paired_difference(*sides(True)), rel=1e-9, abs=1e-9)
    known, blind = sides(True)[0], sides(False)[0]
    assert blind.weights == pytest.approx(known.weights) and blind.returns == pytest.approx(known.returns)
    last = np.arange(len(known)), dataset.lengths - 1
    explained = known.explained.copy()
    explained[last] = False
    assert np.array_equal(blind.explained, explained)
    start, corrections = model_residuals(blind, "here")[::-1]
    assert corrections[last] == pytest.approx(np.zeros(len(known)), abs=1e-9), "alone, a policy keeps the model's word"
    assert np.array_equal(start, known.v_values[:, 0])
