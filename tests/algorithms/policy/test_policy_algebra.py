"""What a policy's probabilities are: a mixture, masked before it is mixed, with a floor; and drawn from exactly."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policies import (
    ACTIONS,
    OBSERVATION,
    advantage,
    bare,
    integer_policy,
    moves,
    network,
    rows_of,
    rule,
    samples,
    table,
)

from algorithms.policy import (
    AdvantageNetwork,
    BaseReference,
    ImprovementMap,
    Network,
    Policy,
    ProbabilityTable,
    rule_probabilities,
)
from algorithms.policy.encoders import ArrayState, GridState
from algorithms.policy.rule import distribution
from envs.encoding import IntegerStates, QuantileGrid, StandardFeatures
from envs.errors import ArtefactError, RecordError
from envs.observation import ObservationField, ObservationSpecification

ROWS = rows_of(300, 9)
NAMES = sorted(samples())


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), explore=st.floats(0.0, 1.0))
def test_probabilities_sum_to_one_respect_mask_and_floor(name: str, seed: int, explore: float) -> None:
    allowed = np.random.default_rng(seed).random((len(ROWS), 4)) < 0.5
    allowed[~allowed.any(axis=1), seed % 4] = True
    p = samples(explore)[name].probabilities(ROWS, allowed=allowed)
    assert np.allclose(p.sum(axis=1), 1.0, atol=1e-12)
    assert (p[~allowed] == 0.0).all()
    floor = explore / allowed.sum(axis=1, keepdims=True) * np.ones(4)
    assert (p >= floor * (1 - 1e-12))[allowed].all()


def test_no_probability_is_above_one_by_rounding_for_no_record_takes_it() -> None:
    above = float(np.nextafter(1.0, 2.0))
    policy = integer_policy(np.array([[above, 0.0]]))
    decision = policy.act(0)
    assert decision.propensity == decision.probabilities[decision.action] == 1.0
    assert policy.probabilities(np.zeros((1, 1))).max() == 1.0
    assert distribution({"up": above}, ("up", "down")) == [1.0, 0.0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("masked", [False, True])
def test_one_decision_is_computed_as_a_batch_is(name: str, masked: bool) -> None:
    policy = samples()[name]
    rng = np.random.default_rng(1)
    allowed = rng.random((len(ROWS), 4)) < 0.6
    allowed[~allowed.any(axis=1)] = True
    batch = policy.probabilities(ROWS, allowed=allowed if masked else None)
    for row, mask, expected in zip(ROWS, allowed, batch, strict=True):
        names = [a for a, ok in zip(ACTIONS, mask, strict=True) if ok] if masked else None
        decision = policy.act(OBSERVATION.value(row), names)
        assert list(decision.probabilities) == list(ACTIONS)
        assert np.allclose(list(decision.probabilities.values()), expected, atol=1e-12)
        assert decision.propensity == decision.probabilities[decision.action] > 0.0


def test_layers_are_the_mixture_computed_by_hand() -> None:
    first, second, third = table(), moves(), network()
    policy = bare(0.2).with_layer(first, 0.3).with_layer(second, 0.5).with_layer(third, 0.25)
    root = rule_probabilities(rule, OBSERVATION, ACTIONS, ROWS)
    states = first.encoder.states(ROWS)
    one = 0.7 * root + 0.3 * np.where(states[:, None] < 0, first.unseen, first.table[states])
    moved = np.zeros_like(one)
    for n, state in enumerate(second.encoder.states(ROWS)):
        for action in range(4):
            moved[n, action if state < 0 else second.moves[state, action]] += one[n, action]
    two = 0.5 * one + 0.5 * moved
    logits = third.logits(ROWS) / 0.7
    soft = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = 0.75 * two + 0.25 * soft
    assert np.allclose(policy.probabilities(ROWS, floor=False), expected, atol=1e-12)
    assert np.allclose(policy.probabilities(ROWS), 0.8 * expected + 0.05, atol=1e-12)


def test_a_step_stays_a_step_where_the_rule_is_forbidden() -> None:
    """Masking only the finished mixture would turn a step of 0.1 into one of 1 there."""
    certain = ProbabilityTable(IntegerStates(np.array([0])), np.array([[0.0, 0.0, 1.0]]), np.full(3, 1 / 3))
    observation = integer_policy(np.eye(2)).observation
    policy = Policy("x", "0", observation, ("a", "b", "c"), 0.0, BaseReference("r"), rule=lambda _: "a")
    p = policy.with_layer(certain, 0.1).probabilities(np.zeros((1, 1)), allowed=np.array([False, True, True]))
    assert np.allclose(p, [[0.0, 0.9 * 0.5, 0.9 * 0.5 + 0.1]])


def test_a_mixture_of_champion_and_candidate_keeps_the_floor() -> None:
    """(1 − η) champion + η candidate, both with floor, is the new policy with floor: steps can be chained."""
    champion = bare(0.1).with_layer(moves(), 0.25)
    candidate = bare(0.1).with_layer(table(), 1.0)
    step = champion.with_layer(table(), 0.4)
    mixed = 0.6 * champion.probabilities(ROWS) + 0.4 * candidate.probabilities(ROWS)
    assert np.allclose(step.probabilities(ROWS), mixed, atol=1e-12)


def test_improvement_moves_nothing_to_what_is_forbidden() -> None:
    layer = ImprovementMap(IntegerStates(np.array([0])), np.array([[2, 2, 2]]))
    p = layer(np.zeros((1, 1)), np.array([[0.5, 0.5, 0.0]]), np.array([[True, True, False]]))
    assert np.array_equal(p, [[0.5, 0.5, 0.0]])
    p = layer(np.ones((1, 1)), np.array([[0.5, 0.5, 0.0]]))
    assert np.array_equal(p, [[0.5, 0.5, 0.0]]), "an unseen state moves nothing"


def constant_values(values: list[float], margin: float) -> AdvantageNetwork:
    """An advantage network that gives the same values to every row that it knows."""
    observation = ObservationSpecification("vector", (ObservationField("x"),))
    encoder = StandardFeatures.fit(np.zeros((1, 1)), observation)
    return AdvantageNetwork(Network(encoder, [(np.zeros((1, len(values))), np.array(values))]), margin)


def test_an_advantage_moves_mass_only_for_a_gain_above_the_margin() -> None:
    current = np.array([[0.1, 0.2, 0.3, 0.4]])
    layer = constant_values([1.0, 0.5, 2.0, 1.5], margin=0.5)
    assert np.allclose(layer(np.zeros((1, 1)), current), [[0.0, 0.0, 0.6, 0.4]])
    masked = layer(np.zeros((1, 1)), current, np.array([[True, True, False, True]]))
    assert np.allclose(masked, [[0.1, 0.0, 0.3, 0.6]]), "the best allowed action is 3; 0.5 is no gain above 0.5"
    unknown = layer(np.full((1, 1), np.nan), current)
    assert np.array_equal(unknown, current), "a row without a required value moves nothing"
    assert np.array_equal(constant_values([1.0, 0.5, 2.0, 1.5], margin=1.5)(np.zeros((1, 1)), current), current)


def test_absolute_whole_layer_drops_ancestors_and_base() -> None:
    policy = bare().with_layer(moves(), 0.5)
    assert policy.needs_base and len(policy.layers) == 1
    whole = policy.with_layer(table(), 1.0, version="7")
    assert not whole.needs_base and whole.rule is None and len(whole.layers) == 1
    assert whole.version == "7" and whole.provenance.parent == "0"
    relative = policy.with_layer(moves(), 1.0)
    assert relative.needs_base and len(relative.layers) == 2


def test_base_probabilities_may_be_given_in_place_of_the_rule() -> None:
    policy = bare().with_layer(moves(), 0.25).bind(None)
    root = rule_probabilities(rule, OBSERVATION, ACTIONS, ROWS)
    assert np.array_equal(policy.probabilities(ROWS, base=root), policy.probabilities(ROWS, base=rule))
    root[3] = np.nan
    out = policy.probabilities(ROWS, base=root, allowed=np.array([True, True, False, True]))
    assert np.isnan(out[3]).all() and not np.isnan(np.delete(out, 3, axis=0)).any()
    with pytest.raises(ArtefactError, match="rule-1"):
        policy.probabilities(ROWS)
    with pytest.raises(ArtefactError, match="rule-1"):
        policy.act(OBSERVATION.value(ROWS[0]))


def test_drawn_actions_have_the_stated_propensity() -> None:
    """Chi-square of 10,000 draws against the stated probabilities; 99.9 % quantile with 3 degrees of freedom."""
    policy, source = samples()["stack"], random.Random(5)
    observation, draws = OBSERVATION.value(ROWS[0]), 10_000
    counts = dict.fromkeys(ACTIONS, 0)
    for _ in range(draws):
        decision = policy.act(observation, rng=source)
        counts[decision.action] += 1
    statistic = sum((counts[a] - draws * p) ** 2 / (draws * p) for a, p in decision.probabilities.items())
    assert statistic < 16.27


def test_greedy_takes_the_most_probable_action_without_the_floor() -> None:
    policy = samples(explore=0.9)["map"]
    best = policy.probabilities(ROWS, floor=False).argmax(axis=1)
    for row, position in zip(ROWS, best, strict=True):
        decision = policy.act(OBSERVATION.value(row), greedy=True)
        assert decision.action == ACTIONS[position] and decision.propensity == 1.0
        assert sum(decision.probabilities.values()) == 1.0


def test_greedy_draws_where_a_table_knows_nothing() -> None:
    encoder = IntegerStates(np.array([0, 1]))
    spread = ProbabilityTable(encoder, np.array([[0.3, 0.7], [0.3, 0.7]]), np.full(2, 0.5), np.array([True, False]))
    policy = integer_policy(np.eye(2), explore=0.2).with_layer(spread, 1.0)
    seen = {policy.act(0, greedy=True).action for _ in range(200)}
    assert seen == {0, 1} and policy.act(0, greedy=True).propensity in (0.3, 0.7)
    assert {policy.act(1, greedy=True).action for _ in range(50)} == {1}
    assert {policy.act(99, greedy=True).propensity for _ in range(50)} == {0.5}
    # Where most of the weight lies on something that does know, its preference counts.
    certain = integer_policy(np.eye(2)).with_layer(spread, 0.25)
    assert {certain.act(0, greedy=True).action for _ in range(50)} == {0}


@given(st.lists(st.floats(-3, 3) | st.just(float("inf")), min_size=4, max_size=4), st.integers(0, 3), st.booleans())
def test_fast_grid_state_equals_the_encoder(values: list[float], missing: int, optional: bool) -> None:
    encoder = QuantileGrid.fit(rows_of(400), OBSERVATION, bins=4)
    encoder = QuantileGrid(encoder.fields, encoder.edges, (optional,) * 4, encoder.cells)
    row = np.array(values)
    row[2] = np.sign(row[2])
    assert GridState(encoder)(row) == ArrayState(encoder)(row)
    row[missing] = np.nan
    assert GridState(encoder)(row) == ArrayState(encoder)(row)


def test_fast_grid_state_equals_the_encoder_on_rows_it_has_seen() -> None:
    encoder, rows = QuantileGrid.fit(rows_of(400), OBSERVATION, bins=4), rows_of(400)
    states = encoder.states(rows)
    assert (states >= 0).all() and [GridState(encoder)(row) for row in rows] == states.tolist()
    rows[:, 0] = np.resize(encoder.edges[0], len(rows))  # exactly on the cuts
    assert [GridState(encoder)(row) for row in rows] == encoder.states(rows).tolist()


def test_nothing_allowed_and_unknown_actions_are_errors() -> None:
    policy, observation = bare(), OBSERVATION.value(ROWS[0])
    with pytest.raises(RecordError, match="no action is allowed"):
        policy.act(observation, [])
    with pytest.raises(RecordError, match="no action is allowed"):
        policy.probabilities(ROWS, allowed=np.zeros(4, dtype=bool))
    with pytest.raises(RecordError, match="'left'"):
        policy.act(observation, ["left"])
    with pytest.raises(RecordError, match="rows have shape"):
        policy.probabilities(ROWS[:, :2])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("left", "'left'"),
        ({"up": 0.5, "left": 0.5}, "'left'"),
        ({"up": 0.5}, "sum to 0.5"),
        ({"up": 1.5, "hold": -0.5}, "1.5"),
        ({"up": float("nan")}, "nan"),
        ([1, 2], "not a declared action"),
    ],
)
def test_a_rule_that_answers_something_else_is_named(answer: object, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        rule_probabilities(lambda _: answer, OBSERVATION, ACTIONS, ROWS[:1])


def test_a_rule_is_not_called_for_an_unknown_end() -> None:
    rows = ROWS[:3].copy()
    rows[1] = np.nan
    p = rule_probabilities(rule, OBSERVATION, ACTIONS, rows)
    assert np.isnan(p[1]).all() and np.allclose(p[[0, 2]].sum(axis=1), 1.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"actions": ()},
        {"actions": ("a", "a")},
        {"explore": 1.5},
        {"explore": float("nan")},
        {"base": None, "layers": ()},
    ],
)
def test_an_impossible_policy_is_refused(changes: dict) -> None:
    with pytest.raises(ArtefactError):
        integer_policy(np.eye(2), **changes)


def test_components_that_do_not_fit_are_refused() -> None:
    encoder = IntegerStates(np.arange(2))
    for broken in (
        lambda: ProbabilityTable(encoder, np.full((2, 2), 0.6), np.full(2, 0.5)),
        lambda: ProbabilityTable(encoder, np.full((3, 2), 0.5), np.full(2, 0.5)),
        lambda: ImprovementMap(encoder, np.full((2, 2), 2)),
        lambda: integer_policy(np.eye(2)).with_layer(table(), 0.5),
        lambda: advantage(margin=-0.1),
        lambda: advantage(margin=float("nan")),
        lambda: bare().with_layer(moves(), 0.0),
        lambda: bare().with_layer(moves(), 1.1),
    ):
        with pytest.raises(ArtefactError):
            broken()
