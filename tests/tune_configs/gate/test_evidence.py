"""What the gate is asked: fresh units only, exact bounds, the same numbers as the judge's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope.padding import censored
from benchmarks.trust.worlds import Log, World, dataset_of, on_rows
from envs.dataset import FINAL, SELECT, TRAIN
from envs.guardrail import GuardrailSpecification
from envs.untried import behavior_probabilities
from tests.worlds import bandit, explored, random_world
from tune_configs.gate.decision import decide
from tune_configs.gate.evidence import Sides, fresh_final, gate_request
from tune_configs.gate.guardrail_evidence import guardrail_refusal
from tune_configs.judge import episodes_in

EXPLORE = 0.3


def log_of(world, episodes=400, *, explore=EXPLORE, rule=None, **declared):
    """A log of the first action's rule with a floor, the champion at all rows, and a step towards the others."""
    actions = world.action_count
    rule = np.zeros(world.state_count, dtype=int) if rule is None else rule
    behaviour = explored(np.eye(actions)[rule], explore)
    specification = world.specification(explore=explore, **declared)
    log = world.log(behaviour, episodes, 0, specification=specification)
    states = np.clip(np.nan_to_num(log.observations[:, 0]), 0, None).astype(int)
    other = explored(np.eye(actions)[(np.asarray(rule) + 1) % actions], explore)
    return log, behaviour[states], (0.9 * behaviour + 0.1 * other)[states]


def sides_of(log):
    return Sides(
        episodes_in(log, "final"), episodes_in(log, "select"), episodes_in(log, "train", "select")
    )  # fmt: skip


def asked(log, champion, candidate, **more):
    return gate_request(log, champion, candidate[None], sides_of(log), **{"grade": "A", "look": 1, **more})


def test_a_unit_that_was_read_in_part_is_not_fresh():
    """A day that began before the last look, or a tenant that decides for ever, is no new independent unit."""
    log, _, _ = log_of(random_world(1, horizon=3), 12)
    days = np.array(["a", "a", "b", "b", "c", "c", "d", "d", "e", "e", "f", "f"])
    splits = np.where(np.isin(days, ["a", "b", "c"]), FINAL, np.where(days == "d", SELECT, TRAIN)).astype(np.int8)
    log = replace(log, units=days, splits=splits, sequences=np.arange(1, 13))
    assert fresh_final(log, 0).sum() == 6
    assert np.flatnonzero(fresh_final(log, 3)).tolist() == [4, 5], "b was read up to its first episode"
    assert not fresh_final(log, 12).any()
    # A select unit that is older takes no final unit away.
    assert np.flatnonzero(fresh_final(replace(log, sequences=np.arange(12, 0, -1)), 6)).tolist() == [0, 1, 2, 3, 4, 5]


def test_the_bound_of_a_champion_that_wrote_the_log_is_the_range_of_the_return():
    """Its weights are 1 whatever is drawn, also at a horizon of one decision: c is not multiplied by 1 / floor."""
    world = bandit(contexts=4, noise=0.0, vector=False)
    log, champion, candidate = log_of(world, reward_range=(-1.0, 1.0))
    request = asked(log, champion, candidate)
    assert request.bounded.bounds == pytest.approx([2.0])
    final = episodes_in(log, "final")
    states = log.observations[log.rows, 0].astype(int)
    chosen = final[log.episode_index]
    ratio = candidate[log.rows, log.actions] / log.propensities
    assert states.max() == 3
    assert request.bounded.differences[0] == pytest.approx((ratio[chosen] - 1.0) * (log.rewards[chosen] + 1.0))
    # Another champion than the logger: its largest weight is 1 / floor, declared and not what happened to be drawn.
    other = asked(log, candidate, champion)
    assert other.bounded.bounds == pytest.approx([2.0 / (EXPLORE / 2)])


def test_bounds_that_are_not_declared_or_not_exact_bar_the_leg():
    world = bandit(contexts=4, noise=0.0, vector=False)
    log, champion, candidate = log_of(world, reward_range=(-1.0, 1.0))
    declared = log.specification
    for changes in ({"reward_range": None}, {"inferred": ("reward_range",)}, {"unit": "day"}):
        assert asked(replace(log, specification=replace(declared, **changes)), champion, candidate).bounded is None
    # A policy of the log explored less than is declared: no floor bounds its champion's weights.
    less = replace(log, specification=replace(declared, explore=0.9))
    assert asked(less, candidate, champion).bounded is None
    # Sequences: only against the logger.
    long, champion, candidate = log_of(random_world(2, horizon=4, terminal=0), reward_range=(-1.0, 0.5))
    assert asked(long, champion, candidate).bounded.bounds == pytest.approx([6.0])
    assert asked(long, candidate, champion).bounded is None


def test_the_bets_are_sized_on_select_and_blind_to_final():
    world = random_world(3, horizon=3)
    log, champion, candidate = log_of(world, reward_range=(-9.0, 9.0))
    final = (log.splits == FINAL)[log.episode_index]
    other = replace(log, rewards=np.where(final, -log.rewards, log.rewards))
    first, second = (asked(each, champion, candidate).bounded for each in (log, other))
    assert first.select_deviations == pytest.approx(second.select_deviations) and first.select_deviations[0] > 0
    assert not np.allclose(first.differences, second.differences)


def test_models_of_the_tested_units_see_train_and_select_alone():
    """Rewards of final raised by one raise the differences by the weights' excess alone, never through Q̂."""
    world = random_world(4, horizon=1, terminal=0)
    log, champion, candidate = log_of(world, reward_range=(-99.0, 99.0))
    final = (log.splits == FINAL)[log.episode_index]
    raised = replace(log, rewards=log.rewards + final)
    before, after = (asked(each, champion, candidate) for each in (log, raised))
    ratio = (candidate[log.rows, log.actions] / log.propensities)[final]
    assert after.differences[0] - before.differences[0] == pytest.approx(ratio - 1.0)
    assert after.reference == pytest.approx(before.reference)


def test_the_worst_class_is_weighed_under_each_finalist():
    world = random_world(5, horizon=3, terminal=0)
    log, champion, candidate = log_of(world, worst_class="x > 0")
    log = replace(log, worst=np.arange(len(log)) % 7 == 0)
    tail = asked(log, champion, candidate).tail
    final = episodes_in(log, "final")
    assert tail.worst.tolist() == [
        bool(log.worst[log.offsets[e] : log.offsets[e + 1]].any()) for e in np.flatnonzero(final)
    ]
    ratio = np.log(candidate[log.rows, log.actions] / log.propensities)
    assert tail.weights[0] == pytest.approx(np.exp(np.bincount(log.episode_index, ratio))[final])
    undeclared = replace(log, specification=replace(log.specification, worst_class=""))
    assert asked(undeclared, champion, candidate).tail.worst is None


def test_the_declared_range_is_that_of_an_episode_of_usual_length():
    """A horizon that episodes hardly ever reach makes no return possible that the log could not show."""
    log, champion, candidate = log_of(random_world(5, horizon=30, terminal=2), reward_range=(-1.0, 3.0), discount=0.9)
    final = log.lengths[episodes_in(log, "final")]
    usual = np.mean((1.0 - 0.9**final) / 0.1)
    assert final.mean() < 10 and asked(log, champion, candidate).tail.declared == pytest.approx(4.0 * usual)


def losing_sight(seed, **declared):
    """A log in which the second action earns more and now and then ends in silence; and champion and candidate."""
    rng, horizon, episodes = np.random.default_rng(seed), 4, 1_500
    taken = (rng.random((episodes, horizon)) < 0.5).astype(np.int64)
    lost = (taken == 1) & (rng.random(taken.shape) < 0.15)
    active = np.cumsum(lost, axis=1) - lost == 0
    rewards = np.where(active, 0.1 * taken + 0.2 * rng.choice([-1.0, 1.0], taken.shape), 0.0)
    even, often = np.full((1, 2), 0.5), np.array([[0.3, 0.7]])
    world = World(np.ones(1), np.ones((1, 2, 1)), np.zeros((1, 2)), np.zeros((1, 2)), horizon)
    states, silent = np.zeros((episodes, horizon + 1), dtype=np.int64), np.zeros(episodes, dtype=bool)
    log = Log(states, taken, rewards, active, silent, np.broadcast_to(even, (episodes, horizon, 2)))
    dataset = dataset_of(log, world, explore=0.6, **({"reward_range": (-1.0, 1.0)} | declared))
    return dataset, *on_rows(dataset, np.stack([even, often]))


def test_what_is_lost_from_sight_is_no_gain():
    """With an outage of -1 a decision behind every silence the candidate is worse: -.25 becomes -.35."""
    for seed in range(3):
        request = asked(*losing_sight(seed))
        assert request.cut == int(censored(losing_sight(seed)[0].split("final")).sum()) > 100
        answer = decide(request)
        assert answer.decision == "inconclusive" and "cut before the horizon" in answer.reason
        assert answer.estimates[0].value < -0.05
        # Its upper bound is that of the worst case, and tells nobody to keep the champion.
        assert answer.estimates[0].upper < 0.0


def test_silence_that_is_declared_to_be_chance_is_weighed_for():
    """Then what was seen of both actions is all there is: the second earns .1 more, over four decisions .08."""
    request = asked(*losing_sight(0, censoring="random"))
    answer = decide(request)
    assert (request.cut, request.bounded, answer.decision) == (0, None, "promote")
    assert answer.estimates[0].lower < 0.08 < answer.estimates[0].upper


def test_what_was_cut_off_and_has_no_bounds_proves_nothing():
    for changes in ({"reward_range": None}, {"inferred": ("reward_range",)}):
        log, champion, candidate = losing_sight(0)
        log = replace(log, specification=replace(log.specification, **changes))
        request = asked(log, champion, candidate)
        assert "cut before the horizon" in request.barred[0] and "declare reward_range" in request.barred[0]
        answer = decide(request)
        assert (answer.decision, answer.alpha) == ("refused", 0.0)


def test_a_step_to_what_the_log_gave_no_chance_is_barred():
    """In the first state nothing is explored: overlap is as large as ever, and the step's actions there never came."""
    world = random_world(1, horizon=3)
    certain = np.eye(world.action_count)[0]
    behaviour = explored(np.tile(certain, (world.state_count, 1)), EXPLORE)
    behaviour[0] = certain
    log = world.log(behaviour, 1_000, specification=world.specification(explore=EXPLORE))
    states = np.clip(np.nan_to_num(log.observations[:, 0]), 0, None).astype(int)
    step = 0.9 * behaviour + 0.1 / world.action_count
    kept = step.copy()
    kept[0] = certain
    lost = replace(log, propensities=log.propensities * np.nan, action_probabilities=log.action_probabilities * np.nan)
    told = {"behavior": behavior_probabilities(lost, believed=True), "grade": "B"}
    for known, more in ((log, {}), (lost, told)):
        inside, beyond = (asked(known, behaviour[states], policy[states], **more) for policy in (kept, step))
        assert not any(inside.barred) and decide(inside).decision != "refused"
        assert "gave no chance" in beyond.barred[0] and decide(beyond).decision == "refused"
        assert beyond.effective_sample_sizes[0] > 0.8 * beyond.differences.shape[1]


def test_a_guardrail_that_is_lost_from_sight_is_refused_by_name():
    rail = GuardrailSpecification("latency", "latency", "lower", "mean", margin=0.1)
    log, _, _ = losing_sight(0, guardrails=(rail,))
    log = replace(log, guardrails=np.zeros((len(log), 1)))
    sides = sides_of(log)
    assert "latency is not known to the end" in guardrail_refusal(log, sides.tested, sides.fitted)
    by_chance = replace(log, specification=replace(log.specification, censoring="random"))
    assert not guardrail_refusal(by_chance, sides.tested, sides.fitted)


def test_a_gain_bought_with_a_guardrail_is_not_promoted():
    """Action 1 earns more and takes longer; the same log without the guardrail promotes."""
    world = bandit(contexts=4, noise=0.1, vector=False)
    rail = GuardrailSpecification("latency", "seconds", "lower", "mean", margin=0.01)
    log, champion, candidate = log_of(world, 3_000, rule=np.zeros(4, dtype=int), reward_range=(-1.0, 1.5))
    log = replace(log, rewards=log.actions * 1.0)
    assert decide(asked(log, champion, candidate)).decision == "promote"
    seconds = 1.0 + 0.5 * log.actions + np.random.default_rng(0).normal(0, 0.1, len(log))
    watched = replace(log, guardrails=seconds[:, None], specification=replace(log.specification, guardrails=(rail,)))
    decision = decide(asked(watched, champion, candidate))
    assert decision.decision == "keep" and decision.guardrails[0].verdict == "broken"
    step = (candidate - champion)[0, 1]
    assert decision.guardrails[0].change == pytest.approx(0.5 * step, abs=0.02) and step > 0.05
    roomy = replace(rail, margin=0.2)
    allowed = replace(watched, specification=replace(watched.specification, guardrails=(roomy,)))
    assert decide(asked(allowed, champion, candidate)).decision == "promote"
