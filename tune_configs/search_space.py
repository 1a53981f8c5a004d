"""What a search space is: a fixed portfolio that is tried first, and random draws after it.

The head of the portfolio is what a run of three trials tries. Random search (Bergstra & Bengio 2012) over
the spaces follows. Everything is drawn from the seed before the first trial starts, so that the order in
which trials finish changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from envs.errors import SpecificationError
from tune_configs.domains import Choice, Domain, as_domain, domain_from_json
from tune_configs.variant import Value, VariantSpecification, check_step

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
    """The hyperparameters of one algorithm that are searched; all others keep their defaults.

    Attributes:
        algorithm: registry name.
        domains: what each hyperparameter may be; a tuple of values stands for a :class:`Choice` among them.
        steps: what the step size may be: a tuple of values, or a domain within (0, 1].

    Raises:
        SpecificationError: something else than a domain, or a step outside (0, 1].
    """

    algorithm: str
    domains: Mapping[str, Domain] = field(default_factory=dict)
    steps: Domain = field(default=Choice(STEPS))

    def __post_init__(self) -> None:
        domains = {name: as_domain(values, name) for name, values in self.domains.items()}
        object.__setattr__(self, "domains", domains)
        object.__setattr__(self, "steps", as_domain(self.steps, "steps"))
        ends = self.steps.values if isinstance(self.steps, Choice) else (self.steps.low, self.steps.high)
        for step in ends:
            check_step(step, where=f"search space, {self.algorithm}")

    def draw(self, rng: np.random.Generator) -> VariantSpecification:
        """A random variant, its seed still to be given."""
        drawn = {name: domain.draw(rng) for name, domain in self.domains.items()}
        return VariantSpecification(self.algorithm, drawn, float(self.steps.draw(rng)))  # type: ignore[arg-type]

    def to_json(self) -> dict[str, Any]:
        """The JSON form, which runs keep."""
        domains = {name: domain.to_json() for name, domain in self.domains.items()}
        return {"algorithm": self.algorithm, "domains": domains, "steps": self.steps.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Space:
        """The inverse of :meth:`to_json`."""
        domains = {name: domain_from_json(item) for name, item in data["domains"].items()}
        return cls(str(data["algorithm"]), domains, domain_from_json(data["steps"]))


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """Portfolio and random part for one agent.

    Attributes:
        portfolio: tried first, in this order.
        spaces: drawn from in turn afterwards.

    Raises:
        SpecificationError: there is nothing to try.
    """

    portfolio: tuple[VariantSpecification, ...] = ()
    spaces: tuple[Space, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "portfolio", tuple(self.portfolio))
        object.__setattr__(self, "spaces", tuple(self.spaces))
        for parts, kind in ((self.portfolio, VariantSpecification), (self.spaces, Space)):
            for part in parts:
                if not isinstance(part, kind):
                    raise SpecificationError(
                        f"{part!r} is no {kind.__name__}",
                        where="search space",
                        remedy="give a portfolio of VariantSpecification and spaces of Space",
                    )
        if not self.portfolio and not self.spaces:
            raise SpecificationError("nothing to try", where="search space", remedy="give a portfolio or spaces")

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Names of the algorithms that it uses, sorted."""
        return tuple(sorted({each.algorithm for each in self.portfolio} | {each.algorithm for each in self.spaces}))

    def only(self, algorithms: Sequence[str]) -> SearchSpace:
        """The part that uses these algorithms.

        Raises:
            SpecificationError: one of them is not used at all; names those that are.
        """
        for name in algorithms:
            if name not in self.algorithms:
                raise SpecificationError(
                    f"{name!r} is not tried for this agent",
                    where="algorithms",
                    remedy=f"use {', '.join(self.algorithms)}",
                )
        return SearchSpace(
            tuple(variant for variant in self.portfolio if variant.algorithm in algorithms),
            tuple(space for space in self.spaces if space.algorithm in algorithms),
        )

    def variants(self, seed: int, repeats: int = 1) -> Iterator[VariantSpecification]:
        """The portfolio, then endless random draws without repetition (as far as the space has new ones).

        Args:
            seed: of the draws, and the first of each variant's seeds.
            repeats: seeds of each variant: ``seed``, ``seed + 1``, …
        """
        rng, seeds = np.random.default_rng(seed), tuple(range(seed, seed + repeats))
        seen = set()
        for variant in self.portfolio:
            seen.add(effect(variant))
            yield replace(variant, seeds=seeds)
        misses = 0
        while self.spaces and misses < 200:
            for space in self.spaces:
                variant = replace(space.draw(rng), seeds=seeds)
                if effect(variant) in seen:
                    misses += 1
                    continue
                misses = 0
                seen.add(effect(variant))
                yield variant

    def to_json(self) -> dict[str, Any]:
        """The JSON form, which runs keep."""
        return {
            "portfolio": [variant.to_json() for variant in self.portfolio],
            "spaces": [space.to_json() for space in self.spaces],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SearchSpace:
        """The inverse of :meth:`to_json`."""
        portfolio = tuple(VariantSpecification.from_json(item) for item in data["portfolio"])
        return cls(portfolio, tuple(Space.from_json(item) for item in data["spaces"]))


def with_defaults(variant: VariantSpecification) -> dict[str, Value]:
    """Its hyperparameters and the defaults of those that the spaces vary."""
    return {**DEFAULTS.get(variant.algorithm, {}), **variant.hyperparameters}


def effect(variant: VariantSpecification) -> tuple[object, ...]:
    """What makes two variants learn the same whatever their seeds, whether they name a default or leave it out."""
    settings = with_defaults(variant)
    if variant.algorithm == "tabular_q" and (settings["anchored"] or settings["completion"] == "none"):
        for name in ("completion", "temperature"):  # only completed tables read them
            settings.pop(name)
    return VariantSpecification(variant.algorithm, settings, variant.step, ()).key
