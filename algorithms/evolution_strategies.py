"""Evolution strategies to ask for candidates and tell what they are worth: CMA-ES and OpenAI-ES.

Both see ranks alone, so any increasing transformation of the fitness changes nothing. Generation g draws
from a generator seeded by (seed, g): nothing of a strategy's randomness is kept between two generations.

References:
    Hansen (2016), The CMA Evolution Strategy: A Tutorial (by the package ``cma``).
    Salimans, Ho, Chen, Sidor & Sutskever (2017), Evolution Strategies as a Scalable Alternative to RL.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any, Protocol

import numpy as np

from envs.errors import SpecificationError

STRATEGIES = ("cma", "openai")
LARGEST_CMA = 200
"""Parameters beyond which a full covariance is neither cheap nor learned in time."""


class Strategy(Protocol):
    """Looks for the parameters of the largest fitness."""

    generation: int

    @property
    def mean(self) -> np.ndarray:
        """The centre of the search, float64 (n,)."""
        ...

    @property
    def sigma(self) -> float:
        """The overall step size."""
        ...

    def ask(self) -> np.ndarray:
        """Candidates of this generation, float64 (P, n); the same until :meth:`tell`."""
        ...

    def tell(self, fitness: np.ndarray) -> None:
        """What the candidates are worth, float64 (P,); more is better. Ends the generation."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything that the next generation depends on, as arrays and plain values."""
        ...

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state` was, bit for bit."""
        ...


def make_strategy(
    name: str, start: np.ndarray, *, sigma: float, population: int, seed: int, learning_rate: float = 0.1
) -> Strategy:
    """A strategy at its first generation.

    Args:
        name: one of :data:`STRATEGIES`.
        start: float64 (n,), the first centre.
        sigma: standard deviation of the first candidates around it.
        population: candidates of a generation, P; even for ``openai``, at least 4.
        seed: of all draws.
        learning_rate: of ``openai``; ``cma`` has none.

    Raises:
        SpecificationError: an unknown name, or a setting out of its range; names it.
    """
    for setting, value, fits, remedy in (
        ("strategy", name, name in STRATEGIES, f"use one of {', '.join(STRATEGIES)}"),
        ("population", population, population >= 4, "give 4 or more"),
        ("population", population, name == "cma" or population % 2 == 0, "give an even number, it goes in pairs"),
        ("sigma", sigma, sigma > 0.0, "give more than 0"),
        ("learning_rate", learning_rate, learning_rate > 0.0, "give more than 0"),
        ("number of parameters", len(start), len(start) >= 1, "give at least one"),
        ("number of parameters", len(start), name != "cma" or len(start) <= LARGEST_CMA, "use fewer, or 'openai'"),
    ):
        if not fits:
            raise SpecificationError(f"{setting} is {value!r}", where="evolution strategy", remedy=remedy)
    centre = np.array(start, dtype=np.float64)
    if name == "cma":
        return CovarianceAdaptation(centre, sigma, population, seed)
    return OpenAIStrategy(centre, sigma, population, seed, learning_rate)


def ranks(fitness: np.ndarray) -> np.ndarray:
    """Ranks 0 (worst) … P − 1 (best), float64 (P,); equals share their mean rank."""
    _, group, sizes = np.unique(np.asarray(fitness), return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return np.asarray((last - 0.5 * (sizes + 1))[group.ravel()])


@cache
def _cma() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it misses matplotlib aloud
        import cma
    return cma


class CovarianceAdaptation:
    """CMA-ES with the package's defaults. Its state is the ranks it was told: it is replayed from its start."""

    def __init__(self, start: np.ndarray, sigma: float, population: int, seed: int) -> None:
        self._start, self._sigma, self.population, self.seed = start, sigma, population, seed
        self._begin()

    def _begin(self) -> None:
        self.generation = 0
        self._told: list[np.ndarray] = []
        self._asked: list[np.ndarray] | None = None
        # Its own seed would reseed numpy's global generator; NaN leaves that alone.
        options = {"popsize": self.population, "seed": np.nan, "randn": self._normal, "verbose": -9}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a single parameter
            self._search = _cma().CMAEvolutionStrategy(self._start, self._sigma, options)

    def _normal(self, *shape: int) -> np.ndarray:
        return np.random.default_rng([self.seed, self.generation]).standard_normal(shape)

    @property
    def mean(self) -> np.ndarray:
        """The centre of the search, float64 (n,)."""
        return np.array(self._search.mean)

    @property
    def sigma(self) -> float:
        """The overall step size."""
        return float(self._search.sigma)

    def ask(self) -> np.ndarray:
        """Candidates of this generation, float64 (P, n)."""
        if self._asked is None:
            self._asked = self._search.ask()
        return np.array(self._asked)

    def tell(self, fitness: np.ndarray) -> None:
        """What the candidates are worth, float64 (P,); more is better."""
        self.ask()
        self._told.append(ranks(fitness))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about equal fitness
            self._search.tell(self._asked, (-self._told[-1]).tolist())
        self._asked = None
        self.generation += 1

    def state(self) -> dict[str, Any]:
        """The ranks told in all generations, float64 (G, P), and the start."""
        told = np.array(self._told).reshape(self.generation, self.population)
        return {"start": self._start.copy(), "sigma": self._sigma, "seed": self.seed, "told": told}

    def set_state(self, state: dict[str, Any]) -> None:
        """Replay all generations, which asks for no fitness."""
        self._start, self._sigma, self.seed = np.array(state["start"]), float(state["sigma"]), int(state["seed"])
        self.population = state["told"].shape[1]
        self._begin()
        for told in state["told"]:
            self.tell(told)


class OpenAIStrategy:
    """Gradient ascent (Adam) on the expected rank of Gaussian candidates, drawn in antithetic pairs."""

    BETA_1, BETA_2 = 0.9, 0.999

    def __init__(self, start: np.ndarray, sigma: float, population: int, seed: int, learning_rate: float) -> None:
        self._mean, self._sigma, self.population, self.seed = start.copy(), sigma, population, seed
        self.learning_rate = learning_rate
        self._first, self._second = np.zeros_like(start), np.zeros_like(start)
        self.generation = 0

    @property
    def mean(self) -> np.ndarray:
        """The centre of the search, float64 (n,)."""
        return self._mean.copy()

    @property
    def sigma(self) -> float:
        """The overall step size, which is fixed."""
        return self._sigma

    def _directions(self) -> np.ndarray:
        random = np.random.default_rng([self.seed, self.generation])
        half = random.standard_normal((self.population // 2, len(self._mean)))
        return np.concatenate([half, -half])

    def ask(self) -> np.ndarray:
        """Candidates of this generation, float64 (P, n)."""
        return self._mean + self._sigma * self._directions()

    def tell(self, fitness: np.ndarray) -> None:
        """What the candidates are worth, float64 (P,); more is better."""
        shaped = ranks(fitness) / (self.population - 1) - 0.5
        gradient = shaped @ self._directions() / (self.population * self._sigma)
        self.generation += 1
        self._first = self.BETA_1 * self._first + (1.0 - self.BETA_1) * gradient
        self._second = self.BETA_2 * self._second + (1.0 - self.BETA_2) * gradient**2
        first = self._first / (1.0 - self.BETA_1**self.generation)
        second = self._second / (1.0 - self.BETA_2**self.generation)
        self._mean = self._mean + self.learning_rate * first / (np.sqrt(second) + 1e-8)

    def state(self) -> dict[str, Any]:
        """Centre, moments and generation."""
        arrays = {"mean": self._mean.copy(), "first": self._first.copy(), "second": self._second.copy()}
        return {**arrays, "sigma": self._sigma, "seed": self.seed, "generation": self.generation}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` gave."""
        self._mean, self._first, self._second = (np.array(state[name]) for name in ("mean", "first", "second"))
        self._sigma, self.seed, self.generation = float(state["sigma"]), int(state["seed"]), int(state["generation"])
