"""What a log can say nothing of: actions that it gave no chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope.doubly_robust import doubly_robust
from algorithms.ope.estimate import Estimate
from algorithms.ope.importance_sampling import ips
from algorithms.ope.overlap import NO_RULE
from algorithms.ope.padding import trajectories_from
from algorithms.ope.paired import paired_estimate, paired_overlap
from algorithms.ope.support import (
    support_refusal,
    undrawn_refusal,
    unsupported_chance,
    unsupported_difference,
    unsupported_probabilities,
)
from algorithms.ope.trajectories import Trajectories
from envs.dataset import Dataset
from tests.worlds import random_world

STATES, ACTIONS, HORIZON = 4, 3, 3
WORLD = random_world(0, states=STATES, actions=ACTIONS, horizon=HORIZON)
# In states 0 and 1 the log never takes action 2.
RULE = np.array([[0.5, 0.5, 0.0], [0.7, 0.3, 0.0], [0.2, 0.3, 0.5], [0.4, 0.4, 0.2]])
TARGET = np.array([[0.4, 0.4, 0.2], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4], [0.4, 0.4, 0.2]])
KEPT = np.array([[0.4, 0.6, 0.0], [0.6, 0.4, 0.0], [0.3, 0.3, 0.4], [0.4, 0.4, 0.2]])


def log(episodes: int = 1_000) -> Dataset:
    return WORLD.log(RULE, episodes)


def under(dataset: Dataset, policy: np.ndarray) -> Trajectories:
    states = dataset.observations[dataset.rows][:, 0].astype(int)
    shape = (dataset.episode_count, HORIZON)
    return trajectories_from(dataset, policy[states], q=np.zeros(shape), v=np.zeros((shape[0], HORIZON + 1)))


def test_the_chance_is_that_of_the_policy_in_the_world() -> None:
    dataset = log(6_000)
    states = dataset.observations[dataset.rows][:, 0].astype(int)
    started = states[dataset.offsets[:-1]]
    # Exactly: the probability that a policy has not yet met such an action, from each state.
    free = np.ones(STATES)
    for _ in range(HORIZON):
        met = TARGET * (RULE > 0)
        onwards = np.where(WORLD.terminal, 1.0, free)
        free = np.where(WORLD.terminal, 1.0, (met * (WORLD.transition @ onwards)).sum(axis=1))
    exact = 1.0 - free[started].mean()
    assert unsupported_chance(under(dataset, TARGET)) == pytest.approx(exact, rel=0.05)
    assert unsupported_chance(under(dataset, KEPT)) == 0.0


def test_where_states_tell_all_the_chance_is_by_their_weights() -> None:
    beyond = replace(under(log(300), TARGET), state_log_ratios=np.full((300, HORIZON), np.log(2.0)))
    by_state = unsupported_chance(replace(beyond, markov=True))
    assert beyond.unsupported is not None
    assert by_state == pytest.approx(2.0 * (beyond.active[:, :, None] * beyond.unsupported).sum() / 300)
    assert unsupported_chance(beyond) == unsupported_chance(under(log(300), TARGET)) != pytest.approx(by_state)


def test_no_number_stands_on_what_was_never_tried() -> None:
    dataset = log()
    beyond, kept = under(dataset, TARGET), under(dataset, KEPT)
    for estimator in (doubly_robust, ips):
        refused = estimator(beyond, overlap=NO_RULE)
        assert "gave no chance" in refused.refused and np.isnan(refused.value)
        assert np.isfinite(estimator(beyond, overlap=NO_RULE, force=True).value)
        assert not estimator(kept, overlap=NO_RULE).refused
    assert "gave no chance" in paired_estimate(beyond, kept, overlap=NO_RULE).refused
    assert "gave no chance" in paired_estimate(kept, beyond, overlap=NO_RULE).refused


def test_what_two_policies_share_does_not_count() -> None:
    dataset = log()
    states = dataset.observations[dataset.rows][:, 0].astype(int)
    other = TARGET.copy()
    other[:2, 0] += 0.1
    other[:2, 1] -= 0.1
    first = [trajectories_from(dataset, policy[states], horizon=1) for policy in (TARGET, other)]
    assert unsupported_chance(first[0]) > 0.05
    assert unsupported_difference(*first) == pytest.approx(0.0, abs=1e-12)


def test_a_certain_action_leaves_none_to_the_others() -> None:
    dataset = log(50)
    alone = replace(
        dataset,
        propensities=np.ones(len(dataset)),
        action_probabilities=np.full_like(dataset.action_probabilities, np.nan),
    )
    uniform = np.full((len(dataset), ACTIONS), 1 / ACTIONS)
    found = unsupported_probabilities(alone, uniform)
    assert found is not None
    expected = uniform.copy()
    expected[np.arange(len(dataset)), dataset.actions] = 0.0
    np.testing.assert_array_equal(found, expected)
    half = replace(alone, propensities=np.full(len(dataset), 0.5))
    assert unsupported_probabilities(half, uniform) is None


def test_an_estimated_behaviour_speaks_in_place_of_the_log() -> None:
    dataset = log()
    states = dataset.observations[dataset.rows][:, 0].astype(int)
    everywhere = 0.9 * RULE + 0.1 / ACTIONS

    def valued(policy: np.ndarray, behavior: np.ndarray) -> Estimate:
        return ips(trajectories_from(dataset, policy[states], behavior=behavior[states]), overlap=NO_RULE)

    untried = "never taken in like states"
    assert untried in valued(TARGET, RULE).refused and "log the propensities" in valued(TARGET, RULE).refused
    assert not valued(KEPT, RULE).refused and not valued(TARGET, everywhere).refused
    own, logged = valued(RULE, RULE), trajectories_from(dataset, RULE[states])
    assert own.value == pytest.approx(logged.returns.mean()) and "estimated" in " ".join(own.assumptions)
    known = trajectories_from(dataset, TARGET[states], propensities=dataset.propensities)
    assert known.unsupported is None and not known.estimated, "known propensities tell of what was taken alone"


def test_a_thousandth_is_let_pass() -> None:
    assert support_refusal(0.001) == "" and "0.2%" in support_refusal(0.002) and "27%" in support_refusal(0.27)


def test_what_was_never_drawn_is_not_judged_by_the_rest() -> None:
    """One action in 300 is the rare one, of which the candidate takes half: without it all others weigh alike."""
    units = 600

    def weighed(draws: int, mass: float) -> Trajectories:
        rare = np.arange(units) < draws
        chance = 1 / 300
        ratios = np.where(rare, mass / chance, (1 - mass) / (1 - chance))
        none = np.zeros((units, 1))
        values = np.zeros((units, 2))
        return Trajectories(none, np.log(ratios)[:, None], none == 0.0, q_values=none, v_values=values)

    champion, candidate = weighed(0, 1 / 300), weighed(0, 0.5)
    assert paired_overlap(candidate) == pytest.approx(units), "the effective size sees nothing"
    refused = paired_estimate(candidate, champion)
    assert "drawn too seldom" in refused.refused and "0.502 on the average" in refused.refused
    assert paired_estimate(champion, candidate).refused.startswith("champion: what it does was drawn too seldom")
    assert not paired_estimate(weighed(0, 0.004), champion).refused, "a thousandth is let pass"
    assert not undrawn_refusal(weighed(2, 0.5)), "as many as are due: their weights speak for themselves"
    assert not undrawn_refusal(replace(candidate, estimated=True))
    # Days are units here: what falls short falls short of them as well.
    assert undrawn_refusal(candidate, np.arange(units) // 30)
