"""The algorithms by name. Importing this imports none of them: their modules need Ray."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from envs.errors import MissingExtraError, SpecificationError
from envs.specification import AgentSpecification

if TYPE_CHECKING:
    from algorithms.net_free import NetFreeConfig

ALGORITHMS: dict[str, str] = {
    "tabular_q": "algorithms.tabular_q:TabularQConfig",
    "behavior_cloning": "algorithms.behavior_cloning:BehaviorCloningConfig",
    "dqn": "algorithms.dqn:DQNConfig",
    "ppo": "algorithms.ppo:PPOConfig",
    "evolution": "algorithms.evolution:EvolutionConfig",
}
"""Name to the configuration class, ``module:class``."""


def configuration_class(name: str) -> type[NetFreeConfig]:
    """The configuration class of an algorithm.

    Raises:
        SpecificationError: an unknown name; names the known ones.
        MissingExtraError: Ray is not installed.
    """
    if name not in ALGORITHMS:
        raise SpecificationError(
            f"{name!r} is no algorithm", where="algorithm", remedy=f"use one of {', '.join(ALGORITHMS)}"
        )
    module, attribute = ALGORITHMS[name].split(":")
    try:
        found: type[NetFreeConfig] = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("ray", "torch"):
            raise
        raise MissingExtraError(
            f"{error.name} is not installed", where=name, remedy="pip install 'retrainer[train]'"
        ) from None
    return found


def configuration(name: str, hyperparameters: Mapping[str, Any] | None = None, *, seed: int = 0) -> NetFreeConfig:
    """A configuration with hyperparameters and seed; the dataset is still to be given by ``offline(...)``.

    Raises:
        SpecificationError: an unknown algorithm or hyperparameter, or a value of the wrong kind; names it.
    """
    kind = configuration_class(name)
    wanted = dict(hyperparameters or {})
    unknown = sorted(set(wanted) - set(kind.own_settings()))
    if unknown:
        raise SpecificationError(
            f"{unknown[0]!r} is not a hyperparameter", where=name, remedy=f"known are {', '.join(kind.own_settings())}"
        )
    signature = inspect.signature(kind.training).parameters
    for setting, value in wanted.items():
        wanted[setting] = _fitting(name, setting, value, str(signature[setting].annotation))
    config = kind()
    config.training(**wanted)
    config.seed = seed
    return config


KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "true or false"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "str": ((str,), "a word"),
    "Sequence[str]": ((str, int), "names"),
    "Sequence[int]": ((int,), "whole numbers"),
}
"""The types of a setting, by its annotation: of the value itself, or of each in a sequence."""


def _fitting(algorithm: str, setting: str, value: Any, annotation: str) -> Any:
    """The value, if it is of the setting's kind; a single one for a sequence becomes a sequence."""
    kind = annotation.removesuffix(" | None")
    if kind not in KINDS or (value is None and kind != annotation):
        return value
    types, wanted = KINDS[kind]
    several = kind.startswith("Sequence")
    items = tuple(value) if several and isinstance(value, (tuple, list)) else (value,)
    for item in items:
        if not isinstance(item, types) or (isinstance(item, bool) and bool not in types):
            raise SpecificationError(f"{setting} is {item!r}", where=algorithm, remedy=f"give {wanted}")
        if isinstance(item, float) and not math.isfinite(item):
            raise SpecificationError(f"{setting} is {item!r}", where=algorithm, remedy="give a finite number")
    return items if several else value


def fits(specification: AgentSpecification) -> tuple[str, ...]:
    """Names of the algorithms that can learn an agent's declared spaces, the default first.

    All learn any observation (integers as they are, all else through a grid, centroids or a network), and
    choose among declared actions, of which there must be at least two.
    """
    return tuple(ALGORITHMS) if len(specification.actions) >= 2 else ()


def discretizers(specification: AgentSpecification) -> tuple[str, ...]:
    """Names of the discretizers that fit an agent's observation."""
    return ("integer",) if specification.observation.kind == "int" else ("grid", "kmeans")
