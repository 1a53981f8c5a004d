"""What a population may change of a variant while it trains, and how (Jaderberg et al. 2017, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from envs.errors import SpecificationError
from tune_configs.domains import Choice, Domain, LogUniform, Uniform
from tune_configs.search_space import SearchSpace
from tune_configs.variant import VariantSpecification

RESAMPLING = 0.25
"""Share of changes that draw anew instead of moving a little."""
MUTABLE: Mapping[str, Mapping[str, Domain]] = {
    "behavior_cloning": {"learning_rate": LogUniform(0.0003, 0.03), "weight_decay": LogUniform(0.0001, 0.1)},
    "dqn": {"learning_rate": LogUniform(0.0001, 0.01), "conservative_weight": LogUniform(0.003, 3.0)},
    "ppo": {
        "learning_rate": LogUniform(0.0001, 0.01),
        "kl_weight": LogUniform(0.001, 0.2),
        "entropy_coeff": Uniform(0.0, 0.02),
    },
    "evolution": {"learning_rate": LogUniform(0.01, 0.5)},
}
"""Hyperparameters that may change between two iterations, by algorithm, with what they may be where a search space
says nothing. All others shape what is learned, and stay. Tables are swept to convergence and have none."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of one sweep.

    Attributes:
        domains: by algorithm and hyperparameter.
    """

    domains: Mapping[str, Mapping[str, Domain]] = field(default_factory=lambda: MUTABLE)

    @classmethod
    def of(cls, space: SearchSpace) -> Changes:
        """The usual ones, each within its domain in the search space where that has a range for it."""
        found = {algorithm: dict(domains) for algorithm, domains in MUTABLE.items()}
        for each in space.spaces:
            for name, domain in each.domains.items():
                if name in found.get(each.algorithm, {}) and not isinstance(domain, Choice):
                    found[each.algorithm][name] = domain
        return cls(found)

    def changed(self, variant: VariantSpecification, rng: np.random.Generator) -> VariantSpecification:
        """The variant with each of its changeable hyperparameters moved a little, or drawn anew."""
        hyperparameters = dict(variant.hyperparameters)
        for name, domain in self.domains.get(variant.algorithm, {}).items():
            value = hyperparameters.get(name)
            anew = rng.random() < RESAMPLING or not domain.contains(value)
            hyperparameters[name] = domain.draw(rng) if anew else domain.near(value, rng)
        return replace(variant, hyperparameters=hyperparameters)


def populating(space: SearchSpace) -> SearchSpace:
    """The part of a search space whose variants can be members of a population.

    Raises:
        SpecificationError: there is none.
    """
    fitting = [name for name in space.algorithms if name in MUTABLE]
    portfolio = tuple(
        each for each in space.portfolio if each.algorithm in fitting and each.hyperparameters.get("model") != "table"
    )
    spaces = tuple(
        each
        for each in space.spaces
        if each.algorithm in fitting and not each.domains.get("model", Choice(("network",))).contains("table")
    )
    if not portfolio and not spaces:
        raise SpecificationError(
            f"none of {', '.join(space.algorithms)} has hyperparameters that can change while it learns",
            where="scheduler pbt",
            remedy=f"use another scheduler, or a space with {', '.join(MUTABLE)}",
        )
    return SearchSpace(portfolio, spaces)
