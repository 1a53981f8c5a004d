"""Evolution on worlds with known answers, and the luck that its candidates share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms.evolution import Evolution
from algorithms.evolution_policies import LinearScores
from algorithms.learned_simulation import LearnedSimulation
from algorithms.policy import Policy
from algorithms.policy.advantage_network import AdvantageNetwork
from algorithms.policy.components import Network
from algorithms.policy.parts import BaseReference, Layer
from algorithms.population_returns import NearestNeighbourSimulation, Situations, draw, population_returns
from algorithms.registry import configuration
from envs.dataset import Dataset
from envs.encoding import StandardFeatures
from envs.errors import DataError, SpecificationError
from envs.offline.learned_model import fit_model
from envs.offline.nearest_neighbour_model import build_neighbours
from tests.worlds import World, bandit, chain, deterministic, explored

LEFT = deterministic([0, 0, 0, 0, 0], 2)
CHAIN = chain(vector=True, slip=0.1)
LOG = CHAIN.log(explored(LEFT, 0.5), 300, seed=1, root=LEFT)


def learned(dataset: Dataset, iterations: int = 4, seed: int = 0, **hyperparameters: Any) -> Evolution:
    champion = hyperparameters.pop("champion", None)
    small = {"environment": "nearest_neighbour", "population": 16, "episodes": 32, "generations_per_iteration": 5}
    config = configuration("evolution", small | hyperparameters, seed=seed)
    algorithm = config.offline(dataset=dataset, splits=("train", "select", "final"), champion=champion).build_algo()
    for _ in range(iterations):
        algorithm.train()
    assert isinstance(algorithm, Evolution)
    return algorithm


def policy_of(algorithm: Evolution, world: World, root: np.ndarray) -> np.ndarray:
    """What the exported component does in each state of a world, (S, A)."""
    return np.asarray(algorithm.export_component()(world.rows, root, np.ones(root.shape, dtype=bool)))


@pytest.mark.parametrize(("policy", "seed"), [("residual", 0), ("residual", 1), ("residual", 2), ("linear", 0)])
@pytest.mark.parametrize("strategy", ["cma", "openai"])
def test_the_optimum_of_the_chain_is_found(policy: str, strategy: str, seed: int) -> None:
    algorithm = learned(LOG, policy=policy, strategy=strategy, seed=seed)
    found = policy_of(algorithm, CHAIN, LEFT)
    np.testing.assert_array_equal(found[:4], np.tile([0.0, 1.0], (4, 1)))
    assert CHAIN.value(found) > CHAIN.value(LEFT) + 1.0
    assert isinstance(algorithm.export_component(), AdvantageNetwork if policy == "residual" else Network)


@pytest.mark.full
def test_the_optimum_of_the_chain_is_found_in_a_learned_model() -> None:
    algorithm = learned(LOG, environment="learned_model")
    np.testing.assert_array_equal(policy_of(algorithm, CHAIN, LEFT)[:4], np.tile([0.0, 1.0], (4, 1)))
    assert algorithm.best_return > algorithm.initial_return + 1.0


def test_a_learned_model_values_policies_as_the_world_does_and_shares_its_luck() -> None:
    encoder = StandardFeatures.fit(LOG.observations, LOG.specification.observation)
    model = fit_model(LOG, members=2, hidden=16, updates=300, cost=0.0)
    simulated = LearnedSimulation(LOG, model, encoder, relative=False, champion=None)
    scores = LinearScores(encoder.size, np.ones(2, dtype=bool), False, 0.0)
    biases = (np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([1.0, 0.0]))  # left, right, left
    parameters = np.stack([scores.parameters(np.zeros((2, 2)), bias) for bias in biases])
    left, right, same = population_returns(simulated, scores.chooser(parameters), 3, 500, np.random.default_rng(0))
    assert np.array_equal(left, same)
    assert right.mean() == pytest.approx(CHAIN.value(1.0 - LEFT), abs=0.25)
    assert left.mean() == pytest.approx(CHAIN.value(LEFT), abs=0.4)


@pytest.mark.full
def test_a_search_in_a_learned_model_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole, part = learned(LOG, 2, environment="learned_model"), learned(LOG, 1, environment="learned_model")
    resumed = Evolution.from_checkpoint(part.save_to_path(str(tmp_path / "checkpoint")))
    resumed.train()
    assert resumed.figures == whole.figures and np.array_equal(resumed.best, whole.best)


def test_where_nothing_is_better_the_base_is_kept() -> None:
    flat = replace(LOG, rewards=np.zeros(len(LOG)))
    algorithm = learned(flat)
    assert not algorithm.best.any() and algorithm.figures["model_return"] == 0.0
    mixed = np.random.default_rng(0).dirichlet([1.0, 1.0], size=5)
    np.testing.assert_array_equal(policy_of(algorithm, CHAIN, mixed), mixed)


def test_a_champion_is_improved_instead_of_the_rule(tmp_path: Path) -> None:
    right = learned(LOG, policy="linear").export_component()
    specification = LOG.specification
    champion = Policy("toy", "1", specification.observation, specification.actions, layers=(Layer(1.0, right),))
    path = tmp_path / "champion.json"
    path.write_bytes(champion.to_bytes())
    over_rule, over_champion = learned(LOG, 1), learned(LOG, 1, champion=path)
    assert over_champion.initial_return > over_rule.initial_return + 1.0
    other = replace(LOG, root_probabilities=np.full_like(LOG.root_probabilities, np.nan))
    with pytest.raises(DataError, match="not known at any decision; declare rule = "):
        learned(other)
    assert learned(other, 1, policy="linear").training_iteration == 1


def test_actions_never_logged_are_never_taken() -> None:
    world = bandit()
    wide = replace(world, transition=world.transition[:, [0, 1, 1]], reward=world.reward[:, [0, 1, 1]])
    root = deterministic([0, 0, 0, 0], 3)
    log = wide.log(np.tile([0.5, 0.5, 0.0], (4, 1)), 200, root=root)
    for policy in ("residual", "linear"):
        algorithm = learned(log, policy=policy)
        assert algorithm.scores.size == 6
        np.testing.assert_array_equal(policy_of(algorithm, wide, root)[:, 2], np.zeros(4))
        np.testing.assert_array_equal(policy_of(algorithm, wide, root)[[0, 3]], np.eye(3)[[0, 1]])


def test_the_reward_may_be_shifted_and_scaled() -> None:
    log = bandit(noise=0.0).log(np.full((4, 2), 0.5), 256, root=deterministic([0, 0, 0, 0], 2))
    for strategy in ("cma", "openai"):
        plain, moved = (
            learned(replace(log, rewards=rewards), 2, strategy=strategy)
            for rewards in (log.rewards, 4.0 * log.rewards - 16.0)
        )
        assert plain.best.any() and np.array_equal(moved.best, plain.best)
        assert moved.best_return == 4.0 * plain.best_return - 16.0


def test_parameters_beyond_the_subspace_are_searched_in_it() -> None:
    algorithm = learned(LOG, strategy="cma", subspace=2)
    assert algorithm.figures["parameters"] == 2.0 and algorithm.scores.size == 6
    moved = algorithm.best - algorithm.start
    directions = algorithm._directions()
    assert directions is not None and moved.any()
    np.testing.assert_allclose(directions.T @ (directions @ moved), moved, atol=1e-12)
    assert learned(LOG, 1, strategy="openai", subspace=2).figures["parameters"] == 6.0


def test_named_fields_alone_are_looked_at() -> None:
    algorithm = learned(LOG, fields=("depth",))
    rows = CHAIN.rows.copy()
    rows[:, 0] = 1e6
    full = np.ones((5, 2), dtype=bool)
    component = algorithm.export_component()
    np.testing.assert_array_equal(component(rows, LEFT, full), component(CHAIN.rows, LEFT, full))
    with pytest.raises(SpecificationError, match="fields: 'height' is no field; use position, depth"):
        learned(LOG, fields=("height",))


def simulation(relative: bool = False) -> tuple[NearestNeighbourSimulation, StandardFeatures]:
    model = build_neighbours(LOG, neighbours=3)
    encoder = StandardFeatures.fit(LOG.observations, LOG.specification.observation)
    return NearestNeighbourSimulation(LOG, model, encoder, relative=relative, champion=None), encoder


@pytest.mark.parametrize(("relative", "temperature"), [(True, 0.0), (False, 0.0), (False, 0.7)])
def test_returns_are_those_of_the_exact_evaluation(relative: bool, temperature: float) -> None:
    episodes, (simulated, encoder) = 4000, simulation(relative)
    scores = LinearScores(encoder.size, np.ones(2, dtype=bool), relative, temperature)
    parameters = np.random.default_rng(3).normal(size=(3, scores.size))
    found = population_returns(simulated, scores.chooser(parameters), 3, episodes, np.random.default_rng(0))
    features = np.nan_to_num(encoder.features(LOG.observations))
    for returns, own in zip(found, parameters, strict=True):
        policy = scores.probabilities(own, features, simulated.model.mask, LOG.root_probabilities)
        exact = simulated.model.start_value(simulated.model.evaluate(policy))
        assert abs(returns.mean() - exact) < 4.0 * returns.std() / np.sqrt(episodes)


def test_candidates_share_their_luck() -> None:
    simulated, encoder = simulation(relative=True)
    scores = LinearScores(encoder.size, np.ones(2, dtype=bool), True, 0.0)
    parameters = 3.0 * np.random.default_rng(4).normal(size=(4, scores.size))
    parameters[3] = parameters[0]
    found, alone = (
        population_returns(simulated, scores.chooser(some), len(some), 100, np.random.default_rng(7))
        for some in (parameters, parameters[1:2])
    )
    assert np.array_equal(found[0], found[3]) and np.array_equal(found[1], alone[0])
    assert len({returns.tobytes() for returns in found}) > 1


def test_generations_meet_new_episodes_and_evaluations_the_same() -> None:
    fitness, values = [], []
    algorithm = learned(LOG, 0, sigma=1e-9, generations_per_iteration=1)  # all candidates are the base
    for _ in range(3):
        algorithm.train()
        fitness.append(algorithm.figures["mean_fitness"])
        values.append(algorithm.figures["model_return"])
    assert len(set(fitness)) == 3 and len(set(values)) == 1


def test_draws_have_their_probabilities_and_never_take_one_of_zero() -> None:
    cumulative = np.cumsum([[0.0, 0.25, 0.0, 0.75, 0.0]], axis=1)
    uniforms = (np.arange(4000) + 0.5) / 4000
    counts = np.bincount(draw(np.repeat(cumulative, 4000, axis=0), uniforms), minlength=5)
    assert counts.tolist() == [0, 1000, 0, 3000, 0]
    edges = draw(np.repeat(cumulative, 2, axis=0), np.array([0.0, np.nextafter(1.0, 0.0)]))
    assert edges.tolist() == [1, 3]
    thirds = np.cumsum([[1 / 3, 1 / 3, 1 / 3, 0.0]], axis=1)
    assert draw(thirds, np.array([np.nextafter(1.0, 0.0)])).tolist() == [2]


def test_a_tie_within_the_threshold_leaves_the_base() -> None:
    scores = LinearScores(1, np.ones(2, dtype=bool), True, 0.0)
    here = Situations(np.array([[[1.0], [2.0]]]), np.ones((1, 2, 2), bool), np.tile([1.0, 1.0], (1, 2, 1)))
    parameters = scores.parameters(np.array([[0.0, 1.0]]), np.zeros(2))
    assert scores.chooser(parameters[None])(here, np.array([0.5, 0.5])).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"policy": "tree"}, "policy is 'tree'; use one of residual, linear"),
        ({"strategy": "genetic"}, "strategy is 'genetic'"),
        ({"population": 5}, "population is 5; give an even number"),
        ({"sigma": 0.0}, "sigma is 0.0"),
        ({"episodes": 0}, "episodes is 0"),
        ({"cost": -0.5}, "cost is -0.5"),
        ({"fields": ()}, "fields is empty"),
    ],
)
def test_mistakes_are_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(SpecificationError, match=named):
        learned(LOG, 0, **change)


def test_a_policy_over_the_rule_serves_what_was_learned() -> None:
    algorithm = learned(LOG)
    specification = LOG.specification
    layers = (Layer(0.25, algorithm.export_component()),)
    base = BaseReference("rule-1")
    policy = Policy("toy", "1", specification.observation, specification.actions, base=base, layers=layers)
    served = Policy.from_bytes(policy.to_bytes()).probabilities(CHAIN.rows, base=LEFT)
    np.testing.assert_allclose(served[:4], np.tile([0.75, 0.25], (4, 1)))
