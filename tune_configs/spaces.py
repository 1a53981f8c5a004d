"""Search spaces: what is tried first, and what is drawn at random after it.

The portfolio comes first, in a fixed order: its head is what a run of three trials tries. Random
search (Bergstra & Bengio 2012) over the space follows. Everything is drawn from the seed before the
first trial starts, so that the order in which trials finish changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from envs.errors import SpecificationError
from envs.specification import AgentSpecification
from tune_configs.variant import Value, VariantSpecification

STEPS = (0.05, 0.1, 0.25, 0.5, 1.0)


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
        """The part that uses these algorithms."""
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
            yield VariantSpecification(variant.algorithm, variant.hyperparameters, variant.step, (seed,))
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


@dataclass(frozen=True, slots=True)
class AgentDefaults:
    """What is known of an agent beyond its declaration.

    Attributes:
        fields: observation fields that a table should discretise; all numeric ones where empty.
        resolutions: bins per field of the grid.
    """

    fields: tuple[str, ...] = ()
    resolutions: tuple[int, ...] = (5, 6, 8)


AGENT_DEFAULTS: dict[str, AgentDefaults] = {
    "scaling": AgentDefaults(fields=("utilisation", "trend", "queue", "pending")),
}
MINIMUM_COUNT = 5
"""Logged rows that an action needs in a cell before a step towards it is tried."""
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
}
"""What an algorithm takes where a variant says nothing, as far as the spaces below vary it."""
GRID_FIELDS = 4
"""A grid over more fields than this has more cells than logs have rows; k-means takes over."""


@dataclass(frozen=True, slots=True)
class _Builder:
    portfolio: list[VariantSpecification] = field(default_factory=list)

    def add(self, algorithm: str, step: float, **hyperparameters: Value) -> None:
        self.portfolio.append(VariantSpecification(algorithm, hyperparameters, step))


def search_space(specification: AgentSpecification, algorithms: Sequence[str] | None = None) -> SearchSpace:
    """The search space that fits an agent's declared spaces.

    Args:
        specification: the agent's declaration.
        algorithms: those that variants may use; all that fit by default.

    Raises:
        SpecificationError: an algorithm that no variant for this agent uses; names those that do.
    """
    space = _fitting_space(specification)
    return space if algorithms is None else space.only(algorithms)


def _fitting_space(specification: AgentSpecification) -> SearchSpace:
    if specification.observation.kind == "int":
        return _integer_space()
    defaults = AGENT_DEFAULTS.get(specification.name, AgentDefaults())
    # The name alone does not make it the agent that the defaults were found for.
    known = set(defaults.fields) <= set(specification.observation.names)
    if defaults.fields and known and len(defaults.fields) <= GRID_FIELDS:
        return _grid_space(defaults.fields, defaults.resolutions)
    return _continuous_space()


def _integer_space() -> SearchSpace:
    build = _Builder()
    tabular = {"discretizer": "integer"}
    build.add("tabular_q", 1.0, **tabular, anchored=False, completion="nearest")
    build.add("behavior_cloning", 1.0, model="table", discretizer="integer", temperature=0.0)
    build.add("tabular_q", 0.1, **tabular, anchored=True)
    build.add("tabular_q", 1.0, **tabular, anchored=True)
    build.add("tabular_q", 1.0, **tabular, anchored=False, completion="nearest", temperature=10.0)
    build.add("tabular_q", 0.25, **tabular, anchored=True)
    build.add("tabular_q", 1.0, **tabular, anchored=False)
    build.add("tabular_q", 1.0, **tabular, anchored=False, pessimism=2.0)
    space = Space(
        "tabular_q",
        {
            "discretizer": ("integer",),
            "anchored": (True, False),
            "pessimism": (0.0, 0.5, 1.0, 2.0),
            "completion": ("none", "nearest"),
            "temperature": (3.0, 6.0, 10.0),
        },
    )
    return SearchSpace(tuple(build.portfolio), (space,))


def _grid_space(fields: tuple[str, ...], resolutions: tuple[int, ...]) -> SearchSpace:
    build = _Builder()
    grid: dict[str, Value] = {
        "discretizer": "grid",
        "fields": fields,
        "resolution": resolutions[-1],
        "minimum_count": MINIMUM_COUNT,
    }
    coarse: dict[str, Value] = {**grid, "resolution": resolutions[0]}
    cells: dict[str, Value] = {**grid, "discretizer": "kmeans", "resolution": 96}
    build.add("tabular_q", 0.25, **cells, anchored=True)
    build.add("tabular_q", 1.0, **cells, anchored=True)
    build.add("tabular_q", 0.1, **cells, anchored=True)
    build.add("tabular_q", 0.25, **grid, anchored=True)
    build.add("tabular_q", 0.25, **cells, anchored=False)
    build.add("behavior_cloning", 1.0, model="network", hidden=(32,), temperature=0.0)
    build.add("tabular_q", 0.5, **cells, anchored=True)
    build.add("tabular_q", 0.1, **grid, anchored=True)
    build.add("tabular_q", 0.25, **coarse, anchored=True)
    build.add("tabular_q", 1.0, **grid, anchored=True)
    build.add("tabular_q", 1.0, **cells, anchored=False)
    build.add("tabular_q", 0.25, **cells, anchored=True, pessimism=2.0)
    space = Space(
        "tabular_q",
        {
            "discretizer": ("grid", "kmeans"),
            "fields": (fields,),
            "resolution": resolutions,
            "minimum_count": (3, MINIMUM_COUNT, 10),
            "anchored": (True, True, False),
            "pessimism": (0.5, 1.0, 1.5, 2.0),
        },
    )
    return SearchSpace(tuple(build.portfolio), (space,))


def _continuous_space() -> SearchSpace:
    build = _Builder()
    cells: dict[str, Value] = {"discretizer": "kmeans", "resolution": 256}
    build.add("behavior_cloning", 1.0, model="network", hidden=(), temperature=0.0)
    build.add("tabular_q", 0.25, **cells, anchored=True)
    build.add("behavior_cloning", 1.0, model="network", hidden=(64,), temperature=0.0)
    build.add("tabular_q", 1.0, **cells, anchored=True)
    build.add("tabular_q", 0.1, **cells, anchored=True)
    build.add("behavior_cloning", 1.0, model="network", hidden=(64,), temperature=1.0)
    build.add("tabular_q", 1.0, **cells, anchored=False)
    build.add("tabular_q", 0.25, discretizer="kmeans", resolution=64, anchored=True)
    spaces = (
        Space(
            "tabular_q",
            {
                "discretizer": ("kmeans",),
                "resolution": (64, 128, 256, 512),
                "anchored": (True, False),
                "pessimism": (0.5, 1.0, 2.0),
            },
        ),
        Space(
            "behavior_cloning",
            {"model": ("network",), "hidden": ((), (32,), (64,)), "temperature": (0.0, 0.5)},
        ),
    )
    return SearchSpace(tuple(build.portfolio), spaces)
