"""Guardrail differences: aggregates add up, and the estimate is unbiased for the aggregate under another policy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.ope.intervals import unit_values
from algorithms.ope.padding import trajectories_from
from algorithms.ope.paired import paired_difference
from envs.errors import DataError
from envs.guardrail import GuardrailSpecification
from tests.worlds import World, chain, explored, random_world
from tune_configs.gate.guardrail_evidence import guardrail_refusal, guardrails_of, increments, unmeasured
from tune_configs.judge import Judge, episodes_in

AGGREGATES = {"sum": np.sum, "mean": np.mean, "max": np.max}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), aggregate=st.sampled_from(sorted(AGGREGATES)), horizon=st.integers(1, 9))
def test_increments_add_up_to_the_aggregate(seed, aggregate, horizon):
    world = chain(length=4, slip=0.3, horizon=7)
    dataset = world.log(explored(np.eye(2)[[0, 1, 1, 0]], 0.5), 8, seed)
    dataset = replace(dataset, specification=replace(dataset.specification, horizon=horizon))
    values = np.random.default_rng(seed).normal(size=len(dataset))
    added = increments(dataset, values, aggregate)
    for episode in range(dataset.episode_count):
        of = slice(*dataset.offsets[episode : episode + 2])
        assert added[of].sum() == pytest.approx(AGGREGATES[aggregate](values[of][:horizon]))


@pytest.mark.parametrize("aggregate", sorted(AGGREGATES))
def test_the_estimate_is_unbiased_for_the_aggregate_under_another_policy(aggregate):
    """Exactly, over every trajectory of a small world, whatever the model says."""
    world = random_world(1, states=3, actions=2, horizon=3)
    rng = np.random.default_rng(0)
    behaviour, target = explored(np.eye(2)[[0, 1, 0]], 0.6), explored(np.eye(2)[[1, 1, 0]], 0.4)
    measure = rng.normal(size=(3, 2))
    q_model, v_of = rng.normal(size=(3, 2)), lambda policy, s: float(policy[s] @ q_model[s])
    truth = {}
    for name, policy in (("target", target), ("behaviour", behaviour)):
        truth[name] = sum(
            chance * AGGREGATES[aggregate]([measure[s, a] for s, a in zip(states, actions, strict=False)])
            for chance, states, actions, _, _ in world.trajectories(policy)
        )
    expected = 0.0
    for chance, states, actions, rewards, ended in world.trajectories(behaviour):
        dataset = world.dataset([(states, actions, rewards, ended)], behaviour)
        values = np.array([measure[s, a] for s, a in zip(states, actions, strict=False)])
        dataset = replace(dataset, rewards=increments(dataset, values, aggregate))
        paths = []
        for policy in (target, behaviour):
            q = np.zeros((1, 3))
            v = np.zeros((1, 4))
            for step, (state, action) in enumerate(zip(states, actions, strict=False)):
                q[0, step], v[0, step] = q_model[state, action], v_of(policy, state)
            if not ended and len(actions) < 3:
                v[0, len(actions)] = 0.0
            paths.append(trajectories_from(dataset, policy[np.array(states[:-1])], q=q, v=v))
        expected += chance * float(paired_difference(*paths)[0])
    assert expected == pytest.approx(truth["target"] - truth["behaviour"], abs=1e-9)


def judged(world: World, guardrail: GuardrailSpecification, values, *, episodes=400, seed=0):
    """A log with one measured guardrail, its judge on final, and a candidate that is another rule."""
    behaviour = explored(np.eye(world.action_count)[np.zeros(world.state_count, dtype=int)], 0.5)
    declared = world.specification(guardrails=(guardrail,), explore=0.5)
    dataset = world.log(behaviour, episodes, seed, specification=declared)
    states = dataset.observations[:, 0].astype(int)
    dataset = replace(dataset, guardrails=values(dataset, states)[:, None])
    candidate = explored(np.eye(world.action_count)[np.ones(world.state_count, dtype=int)], 0.5)
    judge = Judge(
        dataset,
        behaviour[states],
        evaluated=episodes_in(dataset, "final"),
        fitted=episodes_in(dataset, "train", "select"),
        folds=0,
    )
    return dataset, judge, candidate[states][None], (behaviour, candidate)


def test_a_planted_change_is_found_with_its_sign_and_size():
    """Each decision of action 1 takes 2 s more: a policy that takes it more often is slower by that much."""
    world = random_world(2, states=4, actions=2, horizon=3, terminal=0)
    slow = GuardrailSpecification("latency", "seconds", "lower", "mean", margin=0.5)

    def seconds(dataset, states):
        return 1.0 + 2.0 * dataset.actions + np.random.default_rng(1).normal(0, 0.1, len(dataset))

    _, judge, candidates, (behaviour, candidate) = judged(world, slow, seconds, episodes=1500)
    candidates = 0.7 * judge.champion_probabilities + 0.3 * candidates
    candidate = 0.7 * behaviour + 0.3 * candidate
    (rail,) = guardrails_of(judge, None, candidates)
    expected = 2.0 * (candidate[0, 1] - behaviour[0, 1])
    error = rail.differences.std() / np.sqrt(rail.differences.shape[1])
    assert (rail.margin, rail.direction, rail.reference) == (0.5, "lower", None)
    assert -rail.differences.mean() == pytest.approx(expected, abs=4 * error) and error < 0.1
    # By the return's own folds and units, and not by its discount and range.
    assert rail.differences.shape[1] == judge.differences(candidates)[0].shape[1]


def test_the_champion_itself_changes_nothing():
    world = random_world(3, states=4, actions=2, horizon=5)
    rail = GuardrailSpecification("cost", "cost", "lower", "max", margin=0.1)
    _, judge, candidates, _ = judged(world, rail, lambda d, s: np.random.default_rng(2).normal(size=len(d)))
    same = np.broadcast_to(judge.champion_probabilities, candidates.shape)
    (found,) = guardrails_of(judge, judge, same)
    assert not found.differences.any() and not found.reference.any()


def test_margins_are_absolute_or_a_share_of_what_was_measured_outside_final():
    world = random_world(4, states=3, actions=2, horizon=4)

    def measured(dataset, states):
        inside = (dataset.splits == 2)[dataset.episode_index]
        return np.where(inside, 1e6, -3.0)

    for rail, expected in (
        (GuardrailSpecification("g", "x", "higher", "sum", margin=7.0), 7.0),
        (GuardrailSpecification("g", "x", "higher", "mean", relative_margin=0.1), 0.3),
        (GuardrailSpecification("g", "x", "higher", "mean"), 0.01 * 3.0),
    ):
        _, judge, candidates, _ = judged(world, rail, measured, episodes=60)
        assert guardrails_of(judge, None, candidates)[0].margin == pytest.approx(expected)


def test_missing_values_are_refused_by_name_and_never_fill_a_gap():
    world = random_world(5, states=3, actions=2, horizon=4)
    rail = GuardrailSpecification("latency", "seconds", "lower", margin=1.0)
    rng = np.random.default_rng(3)
    dataset, judge, candidates, _ = judged(world, rail, lambda d, s: rng.normal(size=len(d)), episodes=100)
    final, fitted = episodes_in(dataset, "final"), episodes_in(dataset, "train", "select")
    assert guardrail_refusal(dataset, final, fitted) == ""

    def without(episodes):
        values = dataset.guardrails.copy()
        values[np.isin(dataset.episode_index, episodes)] = np.nan
        return replace(dataset, guardrails=values)

    tested = np.flatnonzero(final)
    two = without(tested[:2])
    assert unmeasured(two, 0).sum() == 2
    assert f"guardrail latency has no value in 2 of {len(tested)} final episodes" in guardrail_refusal(
        two, final, fitted
    )
    # A model may be fitted on fewer episodes; a number may not be made of them.
    some = without(np.flatnonzero(fitted)[:10])
    assert guardrail_refusal(some, final, fitted) == ""
    fewer = Judge(some, judge.champion_probabilities, evaluated=final, fitted=fitted, folds=0)
    assert np.isfinite(guardrails_of(fewer, None, candidates)[0].differences).all()
    none = without(np.flatnonzero(fitted))
    assert "in any train or select episode" in guardrail_refusal(none, final, fitted)
    nowhere = Judge(none, judge.champion_probabilities, evaluated=final, fitted=fitted, folds=0)
    with pytest.raises(DataError):
        guardrails_of(nowhere, None, candidates)


def test_units_of_a_guardrail_are_those_of_the_return():
    world = random_world(6, states=3, actions=2, horizon=4)
    rail = GuardrailSpecification("g", "x", "higher", "sum", margin=1.0)
    dataset, judge, candidates, _ = judged(world, rail, lambda d, s: np.ones(len(d)), episodes=80)
    days = np.array([f"d{split}-{number // 8}" for number, split in enumerate(dataset.splits)])
    by_day = replace(dataset, units=days, specification=replace(dataset.specification, unit="day"))
    final, fitted = episodes_in(dataset, "final"), episodes_in(dataset, "train", "select")
    whole = Judge(by_day, judge.champion_probabilities, evaluated=final, fitted=fitted, folds=0)
    (each,), (together,) = guardrails_of(judge, None, candidates), guardrails_of(whole, None, candidates)
    assert together.differences[0] == pytest.approx(unit_values(each.differences[0], days[final]), abs=1e-9)
