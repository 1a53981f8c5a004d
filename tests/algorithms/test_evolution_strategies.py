"""Evolution strategies: known optima, ranks alone, and a state that goes on bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from algorithms.evolution_strategies import STRATEGIES, Strategy, make_strategy, ranks
from envs.errors import SpecificationError

CENTRE = np.array([0.4, -1.2, 0.8, 2.0])


def sphere(points: np.ndarray) -> np.ndarray:
    return -np.asarray(((points - CENTRE) ** 2).sum(axis=1))


def ellipsoid(points: np.ndarray) -> np.ndarray:
    return -np.asarray(((points - CENTRE) ** 2 * 10.0 ** np.arange(4)).sum(axis=1))


def half_space(points: np.ndarray) -> np.ndarray:
    """The sphere where x₀ ≤ 0 (and a steep wall beyond): its constrained optimum is (0, …)."""
    return sphere(points) - 100.0 * np.maximum(points[:, 0], 0.0)


def run(strategy: Strategy, fitness: Callable[[np.ndarray], np.ndarray], generations: int) -> Strategy:
    for _ in range(generations):
        strategy.tell(fitness(strategy.ask()))
    return strategy


def begin(name: str, seed: int = 0, **settings: Any) -> Strategy:
    rate = {"learning_rate": 0.05} if name == "openai" else {}
    return make_strategy(
        name,
        np.zeros(4),
        **{"sigma": 0.5 if name == "cma" else 0.05, "population": 12, "seed": seed, **rate, **settings},
    )


@pytest.mark.parametrize("seed", range(3))
def test_cma_finds_the_optimum_of_an_ill_conditioned_quadratic(seed: int) -> None:
    found = run(begin("cma", seed), ellipsoid, 150).mean
    np.testing.assert_allclose(found, CENTRE, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_cma_finds_a_constrained_optimum(seed: int) -> None:
    found = run(begin("cma", seed), half_space, 250).mean
    np.testing.assert_allclose(found, [0.0, *CENTRE[1:]], atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_openai_comes_near_the_optimum(seed: int) -> None:
    assert np.abs(run(begin("openai", seed, population=32), sphere, 300).mean - CENTRE).max() < 0.1


@pytest.mark.parametrize("name", STRATEGIES)
def test_ranks_alone_are_seen(name: str) -> None:
    plain = run(begin(name), sphere, 20)
    for transformed in (lambda x: 3.0 * sphere(x) - 1000.0, lambda x: np.exp(sphere(x))):
        assert np.array_equal(run(begin(name), transformed, 20).mean, plain.mean)
    assert not np.array_equal(run(begin(name), ellipsoid, 20).mean, plain.mean)


def test_ranks_of_equals_are_shared() -> None:
    assert ranks(np.array([5.0, -1.0, 5.0, 7.0])).tolist() == [1.5, 0.0, 1.5, 3.0]


@pytest.mark.parametrize("name", STRATEGIES)
def test_goes_on_from_its_state_bit_for_bit(name: str) -> None:
    whole = run(begin(name), ellipsoid, 30)
    part = run(begin(name), ellipsoid, 13)
    part.ask()
    resumed = begin(name, seed=9, sigma=0.1)
    resumed.set_state(part.state())
    assert resumed.generation == 13 and np.array_equal(resumed.ask(), part.ask())
    run(resumed, ellipsoid, 17)
    assert np.array_equal(resumed.mean, whole.mean) and resumed.sigma == whole.sigma
    assert np.array_equal(resumed.ask(), whole.ask())


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_seed_decides_and_the_global_generator_is_left_alone(name: str) -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    first, same, other = (run(begin(name, seed), sphere, 5).mean for seed in (1, 1, 2))
    assert np.array_equal(first, same) and not np.array_equal(first, other)
    assert np.array_equal(np.random.get_state()[1], before)


def test_populations_are_of_the_size_asked_and_openai_goes_in_pairs() -> None:
    assert begin("cma", population=7).ask().shape == (7, 4)
    asked = begin("openai", population=6).ask()
    np.testing.assert_allclose(asked[:3], -asked[3:])


def test_equal_fitness_moves_nothing_by_openai_and_breaks_nothing_by_cma() -> None:
    assert np.array_equal(run(begin("openai"), lambda x: np.zeros(len(x)), 5).mean, np.zeros(4))
    assert np.isfinite(run(begin("cma"), lambda x: np.zeros(len(x)), 50).mean).all()


@pytest.mark.parametrize(
    ("name", "change", "named"),
    [
        ("cma", {"population": 3}, "population is 3"),
        ("openai", {"population": 7}, "population is 7; give an even"),
        ("cma", {"sigma": 0.0}, "sigma is 0.0"),
        ("openai", {"learning_rate": 0.0}, "learning_rate is 0.0"),
        ("genetic", {}, "strategy is 'genetic'; use one of cma, openai"),
    ],
)
def test_mistakes_are_named(name: str, change: dict[str, Any], named: str) -> None:
    with pytest.raises(SpecificationError, match=named):
        begin(name, **change)
    with pytest.raises(SpecificationError, match="number of parameters is 201; use fewer, or 'openai'"):
        make_strategy("cma", np.zeros(201), sigma=1.0, population=8, seed=0)
