"""What ``tune`` is asked for, and the variants that follow from it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from envs.dataset import Dataset
from envs.errors import DataError, SpecificationError
from tune_configs.minibatches import Minibatches
from tune_configs.population import populating
from tune_configs.search_space import SearchSpace
from tune_configs.spaces import search_space
from tune_configs.strategy import Strategy
from tune_configs.user_space import check_space
from tune_configs.variant import VariantSpecification

TRIALS, MEMBERS = 16, 8
"""Variants, and members of a population, where neither a number nor a time budget is given."""
MOST_TRIALS = 512
"""Variants that a time budget may try."""
HEAD = 6
"""Variants of the portfolio that a tree search begins with."""


@dataclass(frozen=True, slots=True)
class TuneRequest:
    """What :func:`ai_engine.tune` was asked for; see its arguments.

    Raises:
        DataError: no trial or no seed, or too few members of a population.
        SpecificationError: parts that do not go together.
    """

    trials: int | None = None
    time_budget: float | None = None
    seed: int = 0
    refit_all: bool = False
    algorithms: tuple[str, ...] | None = None
    minibatches: Minibatches = field(default_factory=Minibatches)
    space: SearchSpace | None = None
    seeds: int = 1
    strategy: Strategy = field(default_factory=Strategy)

    def __post_init__(self) -> None:
        if self.trials is not None and self.trials < 1:
            raise DataError(f"{self.trials} trials", where="tune", remedy="ask for at least one")
        if self.seeds < 1:
            raise DataError(f"{self.seeds} seeds", where="tune", remedy="ask for at least one")
        population = self.strategy.scheduler == "pbt"
        if population and self.trials is not None and self.trials < 2:
            raise DataError("a population of one", where="tune", remedy="ask for at least 2 trials")
        if population and self.refit_all:
            raise SpecificationError(
                "a population's hyperparameters change on the way, which cannot be trained once more",
                where="refit_all",
                remedy="leave it out, or use another scheduler",
            )
        if self.strategy.search == "tpe" and self.minibatches != Minibatches():
            raise SpecificationError("goes with the search random only", where="minibatches", remedy="use a space")

    def resolved_space(self, dataset: Dataset) -> SearchSpace:
        """The space that is searched: the user's own or the agent's, as far as the request uses it.

        Raises:
            SpecificationError: it does not fit the agent, or the strategy.
        """
        if self.space is None:
            space = search_space(dataset.specification, self.algorithms)
        else:
            check_space(self.space, dataset.specification)
            space = self.space if self.algorithms is None else self.space.only(self.algorithms)
        if self.strategy.scheduler == "pbt":
            space = populating(space)
        if self.strategy.search == "tpe" and not space.spaces:
            raise SpecificationError("the space is a portfolio only", where="search tpe", remedy="add spaces to it")
        return space

    @property
    def count(self) -> int:
        """Number of trials, at most."""
        if self.trials is not None:
            return self.trials
        if self.strategy.scheduler == "pbt":
            return MEMBERS
        return TRIALS if self.time_budget is None else MOST_TRIALS

    def variants(self, dataset: Dataset, space: SearchSpace) -> tuple[VariantSpecification, ...]:
        """What is known to be tried, in its order; two that minibatches make the same are one.

        A tree search knows only those that it begins with.
        """
        if self.strategy.search == "tpe":
            head = itertools.islice(space.variants(self.seed, self.seeds), min(self.count, HEAD, len(space.portfolio)))
            return tuple(head)
        rows = len(dataset.split("train"))

        def different() -> Iterator[VariantSpecification]:
            seen: set[object] = set()
            for drawn in space.variants(self.seed, self.seeds):
                variant = self.minibatches.applied(drawn, rows)
                if variant.key not in seen:
                    seen.add(variant.key)
                    yield variant

        return tuple(itertools.islice(different(), self.count))

    def to_json(self, dataset: Dataset) -> dict[str, Any]:
        """What a run keeps: all of it as it was resolved, so that the run can be finished and extended from that."""
        space = self.resolved_space(dataset)
        variants = self.variants(dataset, space)
        return {
            "variants": [variant.to_json() for variant in variants],
            "trials": len(variants) if self.strategy.search == "random" else self.count,
            "seed": self.seed,
            "seeds": self.seeds,
            "time_budget": self.time_budget,
            "refit_all": self.refit_all,
            "minibatches": asdict(self.minibatches),
            "strategy": self.strategy.to_json(),
            "space": space.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TuneRequest:
        """The request of a run, its space resolved."""
        return cls(
            trials=int(data["trials"]),
            time_budget=data["time_budget"],
            seed=int(data["seed"]),
            refit_all=bool(data["refit_all"]),
            minibatches=Minibatches(**data["minibatches"]),
            space=SearchSpace.from_json(data["space"]),
            seeds=int(data["seeds"]),
            strategy=Strategy.from_json(data["strategy"]),
        )
