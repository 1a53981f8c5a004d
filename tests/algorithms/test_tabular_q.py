"""Tabular Q on worlds with known answers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms.policy import Policy
from algorithms.policy.components import ImprovementMap, ProbabilityTable
from algorithms.policy.parts import BaseReference, Layer
from algorithms.tabular_data import halves, tabular_transitions, training_discount
from algorithms.tabular_q import TabularQ, TabularQConfig
from envs.dataset import Dataset
from envs.encoding import IntegerStates
from envs.errors import ArtefactError, DataError, SpecificationError
from tests.worlds import bandit, chain, deterministic, explored, random_world

LEFT = deterministic([0, 0, 0, 0, 0], 2)


def learned(dataset: Dataset, iterations: int = 12, **hyperparameters: Any) -> TabularQ:
    champion = hyperparameters.pop("champion", None)
    config = (
        TabularQConfig()
        .training(**hyperparameters)
        .offline(dataset=dataset, splits=("train", "select", "final"), champion=champion)
    )
    algorithm = config.build_algo()
    for _ in range(iterations):
        algorithm.train()
    return algorithm


def test_the_chain_is_solved_exactly() -> None:
    world = chain()
    dataset = world.log(np.full((5, 2), 0.5), 200)
    algorithm = learned(dataset, anchored=False, pessimism=0.0)
    optimum = world.optimal(horizon=1000, discount=0.95)
    np.testing.assert_allclose(algorithm.action_values()[:4], optimum[:4], atol=1e-6)
    table = algorithm.export_component()
    assert isinstance(table, ProbabilityTable)
    np.testing.assert_array_equal(table.table[:4], np.tile([0.0, 1.0], (4, 1)))
    assert table.uncertain is not None and table.uncertain.tolist() == [False] * 4 + [True]


def test_anchored_moves_the_poor_rule_to_the_optimum() -> None:
    world = chain(slip=0.1)
    moves = learned(world.log(explored(LEFT, 0.4), 400, root=LEFT)).export_component()
    assert isinstance(moves, ImprovementMap)
    np.testing.assert_array_equal(moves.moves[:4], np.ones((4, 2)))


@pytest.mark.parametrize("pessimism", [0.0, 1.0])
def test_without_support_the_base_is_never_left(pessimism: float) -> None:
    world = chain(slip=0.3, noise=1.0)
    algorithm = learned(world.log(LEFT, 100, root=LEFT), pessimism=pessimism)
    moves = algorithm.export_component()
    np.testing.assert_array_equal(moves.moves, np.tile([0, 1], (5, 1)))
    rows = world.rows
    np.testing.assert_array_equal(algorithm.probabilities(rows, base=LEFT), LEFT)


def test_states_the_log_never_saw_keep_their_base() -> None:
    world = chain(length=8)
    algorithm = learned(world.log(np.full((8, 2), 0.5), 3, root=np.full((8, 2), 0.5)))
    seen = set(algorithm.encoder.values.tolist())
    unseen = sorted(set(range(8)) - seen) or [7]
    rows = np.array([[float(state)] for state in [*unseen, 99]])
    base = np.random.default_rng(0).dirichlet(np.ones(2), size=len(rows))
    kept = algorithm.probabilities(rows, base=base)
    np.testing.assert_allclose(kept[-1], base[-1])


def test_pessimism_is_monotone() -> None:
    dataset = bandit(contexts=12, noise=2.0, vector=False).log(np.full((12, 2), 0.5), 400, root=np.full((12, 2), 0.5))
    moved = []
    for pessimism in (0.0, 0.5, 1.0, 2.0, 4.0, 50.0):
        algorithm = learned(dataset, 2, pessimism=pessimism)
        moved.append(algorithm.export_component().moves != np.arange(2))
    for bolder, warier in pairwise(moved):
        assert (warier <= bolder).all()
    assert moved[0].sum() > moved[2].sum() > moved[-1].sum() == 0


def test_minimum_count_bars_rare_actions() -> None:
    root = deterministic([0] * 6, 2)
    dataset = bandit(contexts=6, noise=0.0, vector=False).log(explored(root, 0.4), 300, root=root)
    counts = np.zeros((6, 2))
    np.add.at(counts, (dataset.observations[dataset.rows, 0].astype(int), dataset.actions), 1)
    least = int(np.sort(counts[3:, 1])[1])
    moves = learned(dataset, minimum_count=least, pessimism=0.0).export_component().moves
    np.testing.assert_array_equal(moves[3:, 0] == 1, counts[3:, 1] >= least)
    assert 0 < moves[3:, 0].sum() < 3


def test_a_bandit_needs_no_next_observation() -> None:
    world = bandit(vector=False)
    root = np.full((4, 2), 0.5)
    dataset = world.log(root, 600, root=root)
    observations, known = dataset.observations.copy(), np.zeros(600, dtype=bool)
    observations[1::2] = np.nan
    base = dataset.root_probabilities.copy()
    base[1::2] = np.nan
    blind = replace(dataset, observations=observations, end_known=known, root_probabilities=base)
    moves = learned(blind, 2).export_component().moves
    np.testing.assert_array_equal(moves, [[0, 0], [0, 0], [1, 1], [1, 1]])


def test_unknown_ends_are_left_out_and_truncations_bootstrap() -> None:
    world = chain(horizon=1)
    runs = [([3, 4], [1], [1.0], True), ([2, 3], [1], [0.0], False), ([1, 2], [1], [0.0], False)]
    dataset = world.dataset(runs, np.full((5, 2), 0.5), specification=chain(horizon=20).specification())
    blind = replace(dataset, end_known=np.array([True, True, False]))
    transitions, decisions = tabular_transitions(blind, IntegerStates(np.arange(5)), None, 0.9)
    assert decisions.tolist() == [0, 1]
    assert transitions.terminated.tolist() == [True, False]
    algorithm = learned(blind, anchored=False, pessimism=0.0, discount=0.9)
    np.testing.assert_allclose(algorithm.action_values()[algorithm.encoder.states(world.rows)][[2, 3], 1], [0.9, 1.0])


@pytest.mark.parametrize(
    ("horizon", "discount", "expected"),
    [(1, 1.0, 0.0), (12, 1.0, 11 / 12), (500, 1.0, 0.99), (4, 1.0, 0.9), (9, 0.8, 0.8)],
)
def test_discount_defaults(horizon: int, discount: float, expected: float) -> None:
    specification = chain().specification(horizon=horizon, discount=discount)
    assert training_discount(specification) == pytest.approx(expected)
    assert training_discount(specification, 0.5) == 0.5


def test_expected_values_the_policy_with_its_floor() -> None:
    world = chain()
    dataset = world.log(np.full((5, 2), 0.5), 200, specification=world.specification(explore=0.3))
    served = explored(deterministic([1] * 5, 2), 0.3)
    exact = world.action_values(world.evaluate(served, horizon=1000, discount=0.95), 0.95)
    expected = learned(dataset, anchored=False, pessimism=0.0, expected=True).action_values()
    np.testing.assert_allclose(expected[:4], exact[:4], atol=1e-5)
    bare = learned(dataset, anchored=False, pessimism=0.0, expected=False).action_values()
    np.testing.assert_allclose(bare[:4], world.optimal(horizon=1000, discount=0.95)[:4], atol=1e-5)


def champion_file(path: Path, specification: Any, moves: np.ndarray) -> Path:
    policy = Policy(
        specification.name,
        "1",
        specification.observation,
        specification.actions,
        base=BaseReference("rule-1"),
        layers=(Layer(1.0, ImprovementMap(IntegerStates(np.arange(len(moves))), moves)),),
    )
    path.write_bytes(policy.to_bytes())
    return path


def test_the_champion_is_the_base(tmp_path: Path) -> None:
    world = chain(slip=0.2)
    dataset = world.log(explored(LEFT, 0.5), 3000, root=LEFT)
    path = champion_file(tmp_path / "champion.json", dataset.specification, np.array([[1, 1]] * 4 + [[0, 1]]))
    values = learned(dataset, champion=path, pessimism=1e9, discount=0.9).action_values()
    right = deterministic([1, 1, 1, 1, 0], 2)
    exact = world.action_values(world.evaluate(right, horizon=1000, discount=0.9), 0.9)
    np.testing.assert_allclose(values[:4], exact[:4], atol=0.06)
    of_rule = learned(dataset, pessimism=1e9, discount=0.9).action_values()
    exact = world.action_values(world.evaluate(LEFT, horizon=1000, discount=0.9), 0.9)
    np.testing.assert_allclose(of_rule[:4], exact[:4], atol=0.06)


def test_wrong_champions_and_unknown_bases_are_named(tmp_path: Path) -> None:
    dataset = chain().log(LEFT, 30, root=LEFT)
    with pytest.raises(ArtefactError, match="cannot be read"):
        learned(dataset, champion=tmp_path / "absent.json")
    other = champion_file(tmp_path / "o.json", chain().specification(name="other"), np.tile([0, 1], (5, 1)))
    with pytest.raises(ArtefactError, match="is of agent other"):
        learned(dataset, champion=other)
    with pytest.raises(DataError, match="the policy to improve is not known"):
        learned(chain().log(LEFT, 30))
    assert learned(chain().log(LEFT, 30), anchored=False).training_iteration == 12


def test_a_base_unknown_at_ends_is_that_of_the_rest_of_the_state() -> None:
    dataset = chain(slip=0.1).log(explored(LEFT, 0.4), 300, root=LEFT)
    base = dataset.root_probabilities.copy()
    ends = dataset.offsets[1:] + np.arange(dataset.episode_count)
    base[ends] = np.nan
    partly = learned(replace(dataset, root_probabilities=base))
    wholly = learned(dataset)
    np.testing.assert_allclose(partly.action_values()[:4], wholly.action_values()[:4])


def test_halves_split_units_and_double_still_solves() -> None:
    world = chain(slip=0.1)
    root = np.full((5, 2), 0.5)
    dataset = world.log(root, 400, root=root)
    transitions, decisions = tabular_transitions(dataset, IntegerStates(np.arange(5)), None, 0.9)
    first, second = halves(transitions, dataset, decisions)
    assert len(first.cells) + len(second.cells) == len(dataset)
    assert 0.4 < len(first.cells) / len(dataset) < 0.6
    np.testing.assert_array_equal(learned(dataset, double=True).export_component().moves[:4], np.ones((4, 2)))
    with pytest.raises(DataError, match="too few units to halve"):
        halves(transitions, replace(dataset, units=np.full(400, "one")), decisions)


def test_completion_guides_unseen_states_only() -> None:
    """A corridor of 40 of which a third was never seen: neighbours tell that right leads right."""
    world = chain(length=40, horizon=60)
    runs = []
    for start in [s for s in range(39) if s % 3]:
        runs += [([start, min(start + 1, 39)], [1], [0.9 if start == 38 else -0.1], start == 38)]
        runs += [([start, max(start - 1, 0)], [0], [-0.1], False)]
    dataset = world.dataset(runs, np.full((40, 2), 0.5))
    algorithm = learned(dataset, anchored=False, completion="nearest", temperature=0.01)
    table = algorithm.export_component()
    assert len(table.table) == 40
    unseen = np.arange(40) % 3 == 0
    np.testing.assert_array_equal(table.uncertain, unseen)
    assert (table.table[:38, 1] > 0.99).all()
    soft = learned(dataset, anchored=False, completion="nearest", temperature=10.0).export_component().table
    assert ((soft[unseen] > 0.3) & (soft[unseen] < 0.7)).all()
    assert (soft[~unseen].max(axis=1) == 1.0).all()  # seen states choose, however soft the unseen are


def test_completion_needs_declared_integers_and_does_nothing_to_an_anchored_policy() -> None:
    dataset = chain().log(explored(LEFT, 0.4), 60, root=LEFT)
    same = [learned(dataset, completion=kind).export_component().moves for kind in ("none", "nearest")]
    np.testing.assert_array_equal(*same)
    with pytest.raises(SpecificationError, match="needs integer states"):
        learned(chain(vector=True).log(LEFT, 30), anchored=False, completion="nearest")
    specification = chain().specification()
    open_field = replace(specification.observation.fields[0], high=None)
    endless = replace(specification, observation=replace(specification.observation, fields=(open_field,)))
    with pytest.raises(SpecificationError, match="needs the range of 'state'"):
        learned(replace(dataset, specification=endless), anchored=False, completion="nearest")


@pytest.mark.parametrize("anchored", [True, False])
def test_twenty_thousand_rows_are_solved_to_the_end(anchored: bool) -> None:
    world = random_world(0, states=200, actions=6, horizon=50, terminal=2)
    root = np.full((200, 6), 1 / 6)
    small = world.log(root, 500, root=root)
    dataset = small.select_episodes(np.arange(20_000 // len(small) * 500 + 500) % 500)
    assert len(dataset) >= 20_000
    algorithm = learned(dataset, anchored=anchored, pessimism=0.5)
    assert algorithm.solution.residual < 1e-3


def test_the_taxi_is_learned_from_a_soft_controllers_log() -> None:
    """20,000 rows of a soft controller: at least 7.5 of the optimum's 7.94 in 5 of 5 seeds."""
    from tests.algorithms.taxi import greedy_return, taxi_log

    for seed in range(5):
        dataset = taxi_log(seed)
        algorithm = learned(dataset, anchored=False, completion="nearest")
        assert greedy_return(algorithm.export_component(), seed) >= 7.5
