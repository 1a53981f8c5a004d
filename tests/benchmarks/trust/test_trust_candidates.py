"""What is selected from has exact values, spread evenly, and is ranked by them."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.trust.candidates import COUNT, EXPLORE, Candidates, all_candidates, hidden_harm
from benchmarks.trust.worlds import uniform_start_world


def test_values_are_exact_rising_and_spread_evenly() -> None:
    for candidates in all_candidates():
        truths = candidates.truths
        assert len(truths) == COUNT and truths == pytest.approx(
            [candidates.world.value(p) for p in candidates.policies]
        )
        assert truths == pytest.approx(np.linspace(truths[0], truths[-1], COUNT))
        assert truths[0] < candidates.world.value(candidates.behaviour) < truths[-1]
        assert candidates.last.max() <= truths[-1] + 1e-9


def test_every_policy_explores_as_the_log_does_and_some_are_far_from_it() -> None:
    for candidates in all_candidates():
        floor = EXPLORE / candidates.behaviour.shape[1]
        assert candidates.policies.min() == pytest.approx(floor) and candidates.behaviour.min() == pytest.approx(floor)
        overlaps = [candidates.world.overlap(candidates.behaviour, policy) for policy in candidates.policies]
        assert min(overlaps) < 0.01 and sum(overlap > 0.1 for overlap in overlaps) >= 4


def test_states_that_look_alike_are_treated_alike() -> None:
    candidates = all_candidates()[1]
    assert candidates.world.observed_count == 10 and candidates.policies.shape[1] == 10


def test_regret_is_the_share_of_the_spread() -> None:
    world = uniform_start_world(0, 2, 2, 1)
    truths = np.array([1.0, 2.0, 5.0])
    candidates = Candidates("toy", world, np.full((2, 2), 0.5), np.zeros((3, 2, 2)), truths, np.array([4.0]))
    assert [candidates.regret(index) for index in range(3)] == [1.0, 0.75, 0.0]
    assert candidates.regret_of_value(6.0) == -0.25


def test_hidden_harm_is_the_worst_and_a_model_of_what_is_seen_praises_it() -> None:
    candidates = hidden_harm()
    world, behaviour, truths = candidates.world, candidates.behaviour, candidates.truths
    assert candidates.misleading and len(truths) == COUNT and (np.diff(truths) >= 0).all()
    assert truths == pytest.approx([world.value(policy) for policy in candidates.policies])
    assert truths[0] < world.value(behaviour) < truths[-1]
    assert candidates.policies[0, :, 1].min() > 0.5 and candidates.policies[-1, :, 2].min() > 0.5
    # By the rewards under the behaviour the harmful action earns most, whatever is observed.
    log = world.draw(behaviour, 4_000, np.random.default_rng(0))
    earned = [log.rewards[log.active & (log.actions == action)].mean() for action in range(3)]
    assert earned[1] == max(earned)
