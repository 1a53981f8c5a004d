"""What is tried for which agent: the default algorithm of the agent first, then the others that fit.

The portfolio's hyperparameters are written down here, found once on the testbeds; which of them is the best
for a log is for the sweep to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from envs.specification import AgentSpecification
from tune_configs.domains import Choice, LogUniform
from tune_configs.search_space import SearchSpace, Space
from tune_configs.variant import Value, VariantSpecification

Settings = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class AgentDefaults:
    """What is known of an agent beyond its declaration.

    Attributes:
        algorithm: tried first.
        environment: of a log, in which PPO is let loose.
        fields: observation fields that a table should discretise; all numeric ones where empty.
        resolutions: bins per field of the grid.
    """

    algorithm: str = "ppo"
    environment: str = "nearest_neighbour"
    fields: tuple[str, ...] = ()
    resolutions: tuple[int, ...] = (5, 6, 8)


AGENT_DEFAULTS: dict[str, AgentDefaults] = {
    "scaling": AgentDefaults("tabular_q", fields=("utilisation", "trend", "queue", "pending")),
    "self-healing": AgentDefaults("ppo"),
    "task-solving": AgentDefaults("dqn"),
    "optimization": AgentDefaults("evolution", environment="learned_model"),
}
"""The specification's assignment of algorithms to agents."""
MINIMUM_COUNT = 5
"""Logged rows that an action needs in a cell before a step towards it is tried."""
LONGEST: Mapping[str, int] = {"evolution": 50, "ppo": 200}
"""Horizon up to which an algorithm is tried that learns inside a model of the log.

Evolution plays whole episodes for every candidate; and a model's errors add up: on LunarLander (1,000
steps) PPO lost what the log had, while the models praised it.
"""
GRID_FIELDS = 4
"""A grid over more fields than this has more cells than logs have rows; k-means takes over."""
MODAL: Settings = {"kl_weight": 0.0, "temperature": 0.0, "learning_rate": 0.001}
"""PPO that nothing but its warm start keeps near the log, acting by its modal action."""
SIMULATED: Settings = {**MODAL, "environment": "learned_model"}
CELLS: Settings = {"discretizer": "kmeans", "resolution": 256, "anchored": True}
LINEAR_CLONE: Settings = {"model": "network", "hidden": (), "temperature": 0.0}
ALONE: Settings = {"anchored": False, "conservative_weight": 0.3}
"""DQN where no rule is declared that it could be anchored to."""
WIDE: Settings = {
    **ALONE,
    "updates_per_iteration": 1000,
    "conservative_weight": 3.0,
    "hidden": (128, 128),
    "activation": "relu",
}
"""The same over long horizons, where values travel far and errors with them."""
LESS: Settings = {**WIDE, "conservative_weight": 1.0}
FIRST: dict[str, Settings] = {
    "tabular_q": CELLS,
    "dqn": {"updates_per_iteration": 100},
    "ppo": MODAL,
    "evolution": {},
}
"""What is tried first of each algorithm, where the observation is not an integer."""


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


def default_algorithm(specification: AgentSpecification) -> str:
    """What an agent is trained with where nothing is said."""
    if specification.observation.kind == "int":
        return "tabular_q"
    simulated = specification.rule and specification.horizon <= LONGEST["ppo"]
    other = AgentDefaults("ppo" if simulated else "dqn")
    return AGENT_DEFAULTS.get(specification.name, other).algorithm


def _fitting_space(specification: AgentSpecification) -> SearchSpace:
    if specification.observation.kind == "int":
        return _integer_space()
    defaults = AGENT_DEFAULTS.get(specification.name, AgentDefaults())
    # The name alone does not make it the agent that the defaults were found for.
    known = set(defaults.fields) <= set(specification.observation.names)
    grid = defaults.fields and known and len(defaults.fields) <= GRID_FIELDS
    if not grid and not specification.rule and specification.horizon > LONGEST["ppo"]:
        return _long_space()
    space = _grid_space(defaults.fields, defaults.resolutions) if grid else _continuous_space(specification)
    too_long = {name for name, longest in LONGEST.items() if specification.horizon > longest}
    return space.only(sorted({variant.algorithm for variant in space.portfolio} - too_long)) if too_long else space


def _variant(algorithm: str, step: float, settings: Settings, **more: Value) -> VariantSpecification:
    return VariantSpecification(algorithm, {**settings, **more}, step)


def _integer_space() -> SearchSpace:
    table: Settings = {"discretizer": "integer", "anchored": True}
    alone: Settings = {"discretizer": "integer", "anchored": False}
    portfolio = (
        _variant("tabular_q", 1.0, alone, completion="nearest"),
        _variant("behavior_cloning", 1.0, {"model": "table", "discretizer": "integer"}, temperature=0.0),
        _variant("tabular_q", 0.1, table),
        _variant("tabular_q", 1.0, table),
        _variant("tabular_q", 1.0, alone, completion="nearest", temperature=10.0),
        _variant("tabular_q", 0.25, table),
        _variant("tabular_q", 1.0, alone),
        _variant("tabular_q", 1.0, alone, pessimism=2.0),
    )
    space = Space(
        "tabular_q",
        {
            "discretizer": Choice(("integer",)),
            "anchored": Choice((True, False)),
            "pessimism": Choice((0.0, 0.5, 1.0, 2.0)),
            "completion": Choice(("none", "nearest")),
            "temperature": Choice((3.0, 6.0, 10.0)),
        },
    )
    return SearchSpace(portfolio, (space,))


def _grid_space(fields: tuple[str, ...], resolutions: tuple[int, ...]) -> SearchSpace:
    grid: Settings = {
        "discretizer": "grid",
        "fields": fields,
        "resolution": resolutions[-1],
        "minimum_count": MINIMUM_COUNT,
        "anchored": True,
    }
    cells: Settings = {**grid, "discretizer": "kmeans", "resolution": 96}
    portfolio = (
        _variant("tabular_q", 0.25, cells),
        _variant("tabular_q", 1.0, cells),
        _variant("tabular_q", 0.1, cells),
        _variant("tabular_q", 0.25, grid),
        _variant("ppo", 1.0, MODAL),
        _variant("ppo", 0.25, MODAL),
        _variant("behavior_cloning", 1.0, {**LINEAR_CLONE, "hidden": (32,)}),
        _variant("dqn", 0.25, {}),
        _variant("evolution", 0.25, {}),
        _variant("tabular_q", 0.5, cells),
        _variant("tabular_q", 0.1, grid),
        _variant("tabular_q", 0.25, cells, anchored=False),
        _variant("tabular_q", 0.25, grid, resolution=resolutions[0]),
        _variant("tabular_q", 1.0, grid),
        _variant("tabular_q", 0.25, cells, pessimism=2.0),
    )
    space = Space(
        "tabular_q",
        {
            "discretizer": Choice(("grid", "kmeans")),
            "fields": Choice((fields,)),
            "resolution": Choice(resolutions),
            "minimum_count": Choice((3, MINIMUM_COUNT, 10)),
            "anchored": Choice((True, True, False)),
            "pessimism": Choice((0.5, 1.0, 1.5, 2.0)),
        },
    )
    return SearchSpace(portfolio, (space, *_network_spaces()))


def _continuous_space(specification: AgentSpecification) -> SearchSpace:
    settings = dict(FIRST)
    if AGENT_DEFAULTS.get(specification.name, AgentDefaults()).environment == "learned_model":
        settings["ppo"] = SIMULATED
    if not specification.rule:
        settings["dqn"] = ALONE
    algorithm = default_algorithm(specification)
    first = settings[algorithm]
    others = [name for name in settings if name not in (algorithm, "tabular_q")]
    portfolio = (
        _variant(algorithm, 1.0, first),
        _variant("tabular_q", 0.25, CELLS),
        _variant(algorithm, 0.1, first),
        _variant("tabular_q", 1.0, CELLS),
        _variant(algorithm, 0.25, first),
        *(_variant(name, 1.0, settings[name]) for name in others),
        _variant("behavior_cloning", 1.0, LINEAR_CLONE),
        *(_variant(name, 0.25, settings[name]) for name in others),
        _variant("tabular_q", 0.1, CELLS),
        _variant("behavior_cloning", 1.0, LINEAR_CLONE, hidden=(64,)),
        _variant("tabular_q", 1.0, CELLS, anchored=False),
        _variant("tabular_q", 0.25, CELLS, resolution=64),
    )
    cells = Space(
        "tabular_q",
        {
            "discretizer": Choice(("kmeans",)),
            "resolution": Choice((64, 128, 256, 512)),
            "anchored": Choice((True, False)),
            "pessimism": Choice((0.5, 1.0, 2.0)),
        },
    )
    clones = Space(
        "behavior_cloning",
        {"model": Choice(("network",)), "hidden": Choice(((), (32,), (64,))), "temperature": Choice((0.0, 0.5))},
    )
    return SearchSpace(portfolio, (*_network_spaces(), cells, clones))


def _long_space() -> SearchSpace:
    """Nothing to stand on and far to go: conservative values from the log alone."""
    clone: Settings = {**LINEAR_CLONE, "hidden": (64, 64)}
    portfolio = (
        _variant("dqn", 1.0, LESS),
        _variant("dqn", 1.0, WIDE),
        _variant("behavior_cloning", 1.0, clone),
        _variant("tabular_q", 0.25, CELLS),
        _variant("dqn", 0.1, WIDE),
        _variant("dqn", 1.0, WIDE, conservative_weight=0.3),
        _variant("tabular_q", 1.0, CELLS),
        _variant("dqn", 0.25, WIDE),
    )
    wide = {name: Choice((value,)) for name, value in WIDE.items()}
    return SearchSpace(portfolio, (Space("dqn", {**wide, "conservative_weight": Choice((0.3, 1.0, 3.0))}),))


def _network_spaces() -> tuple[Space, ...]:
    environments = Choice(("nearest_neighbour", "learned_model"))
    rates = LogUniform(0.0003, 0.01)
    return (
        Space(
            "ppo",
            {
                "environment": environments,
                "kl_weight": Choice((0.0, 0.02, 0.1)),
                "temperature": Choice((0.0, 1.0)),
                "learning_rate": rates,
            },
        ),
        Space(
            "dqn",
            {
                "anchored": Choice((True,)),
                "conservative_weight": LogUniform(0.003, 0.1),
                "n_step": Choice((1, 3)),
                "learning_rate": rates,
            },
        ),
        Space(
            "dqn",
            {
                "anchored": Choice((False,)),
                "conservative_weight": LogUniform(0.1, 3.0),
                "n_step": Choice((1, 3)),
                "learning_rate": rates,
            },
        ),
        Space(
            "evolution",
            {
                "environment": environments,
                "policy": Choice(("residual", "linear")),
                "sigma": LogUniform(0.2, 1.0),
                "learning_rate": LogUniform(0.03, 0.3),
            },
        ),
    )
