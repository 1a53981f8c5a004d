"""What a search space is: a fixed portfolio that is tried first, and random draws after it.

The head of the portfolio is what a run of three trials tries. Random search (Bergstra & Bengio 2012) over
the spaces follows. Everything is drawn from the seed before the first trial starts, so that the order in
which trials finish changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from envs.errors import SpecificationError
from tune_configs.variant import Value, VariantSpecification

STEPS = (0.05, 0.1, 0.25, 0.5, 1.0)
DEFAULTS: dict[str, dict[str, Value]] = {
    "tabular_q": {
        "anchored": True,
        "pessimism": 1.0,
        "minimum_count": 1,
        "completion": "none",
        "temperature": 6.0,
        "resolution": 6,
    },
    "behavior_cloning": {"temperature": 1.0},
    "dqn": {"anchored": True, "conservative_weight": None, "margin": 0.0, "n_step": 1, "temperature": 0.0},
    "ppo": {"environment": "nearest_neighbour", "kl_weight": 0.05, "temperature": 1.0, "learning_rate": 0.003},
    "evolution": {"environment": "learned_model", "policy": "residual", "strategy": "openai", "sigma": 0.5},
}
"""What an algorithm takes where a variant says nothing, as far as the spaces vary it."""


@dataclass(frozen=True, slots=True)
class Space:
    """The choices of one algorithm.

    Attributes:
        algorithm: registry name.
        choices: for each hyperparameter the values to draw from.
        steps: step sizes to draw from.
    """

    algorithm: str
    choices: Mapping[str, tuple[Value, ...]]
    steps: tuple[float, ...] = STEPS

    def draw(self, rng: np.random.Generator, seed: int) -> VariantSpecification:
        """One uniform draw."""
        drawn = {name: values[int(rng.integers(len(values)))] for name, values in self.choices.items()}
        return VariantSpecification(self.algorithm, drawn, self.steps[int(rng.integers(len(self.steps)))], (seed,))


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """Portfolio and random part for one agent.

    Attributes:
        portfolio: tried first, in this order.
        spaces: drawn from in turn afterwards.
    """

    portfolio: tuple[VariantSpecification, ...]
    spaces: tuple[Space, ...]

    def only(self, algorithms: Sequence[str]) -> SearchSpace:
        """The part that uses these algorithms.

        Raises:
            SpecificationError: one of them is not used at all; names those that are.
        """
        known = sorted({variant.algorithm for variant in self.portfolio} | {space.algorithm for space in self.spaces})
        for name in algorithms:
            if name not in known:
                raise SpecificationError(
                    f"{name!r} is not tried for this agent", where="algorithms", remedy=f"use {', '.join(known)}"
                )
        return SearchSpace(
            tuple(variant for variant in self.portfolio if variant.algorithm in algorithms),
            tuple(space for space in self.spaces if space.algorithm in algorithms),
        )

    def variants(self, seed: int) -> Iterator[VariantSpecification]:
        """The portfolio, then endless random draws without repetition (as far as the space has new ones)."""
        rng = np.random.default_rng(seed)
        seen = set()
        for variant in self.portfolio:
            seen.add(_effect(variant))
            yield replace(variant, seeds=(seed,))
        misses = 0
        while self.spaces and misses < 200:
            for space in self.spaces:
                variant = space.draw(rng, seed)
                if _effect(variant) in seen:
                    misses += 1
                    continue
                misses = 0
                seen.add(_effect(variant))
                yield variant


def _effect(variant: VariantSpecification) -> tuple[object, ...]:
    """What makes two variants learn the same, whether they name a default or leave it out."""
    settings = {**DEFAULTS.get(variant.algorithm, {}), **variant.hyperparameters}
    if variant.algorithm == "tabular_q" and (settings["anchored"] or settings["completion"] == "none"):
        for name in ("completion", "temperature"):  # only completed tables read them
            settings.pop(name)
    return VariantSpecification(variant.algorithm, settings, variant.step).key
