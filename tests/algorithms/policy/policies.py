"""Random policies of every kind, for the tests of this folder."""

from __future__ import annotations

import numpy as np

from algorithms.policy import AdvantageNetwork, BaseReference, ImprovementMap, Network, Policy, ProbabilityTable
from envs.encoding import IntegerStates, QuantileGrid, StandardFeatures
from envs.observation import ObservationField, ObservationSpecification

OBSERVATION = ObservationSpecification(
    "object",
    (
        ObservationField("utilisation"),
        ObservationField("queue", low=-50.0),
        ObservationField("tier", "category", categories=("free", "paid")),
        ObservationField("age", optional=True),
    ),
)
ACTIONS = ("down", "hold", "up", "double")


def rows_of(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = np.column_stack(
        [rng.normal(size=count), rng.integers(0, 4, count), rng.integers(0, 2, count), rng.normal(size=count)]
    ).astype(np.float64)
    rows[rng.random(count) < 0.2, 3] = np.nan
    return rows


def rule(observation: dict) -> object:
    if observation["utilisation"] > 1.0:
        return {"up": 0.75, "double": 0.25}
    return "hold" if observation["queue"] < 2 else "up"


def grid(seed: int = 1, bins: int = 3) -> QuantileGrid:
    # Fitted on few rows, so that the test rows hold states that it has not seen.
    return QuantileGrid.fit(rows_of(60, seed), OBSERVATION, bins=bins)


def table(seed: int = 2) -> ProbabilityTable:
    rng, encoder = np.random.default_rng(seed), grid(seed)
    rows = rng.dirichlet(np.ones(4), size=encoder.count)
    rows[0] = [0.0, 0.0, 0.0, 1.0]
    return ProbabilityTable(encoder, rows, np.full(4, 0.25), np.arange(encoder.count) % 3 == 0)


def moves(seed: int = 3) -> ImprovementMap:
    rng, encoder = np.random.default_rng(seed), grid(seed)
    return ImprovementMap(encoder, rng.integers(0, 4, size=(encoder.count, 4)))


def network(seed: int = 4, temperature: float = 0.7) -> Network:
    rng = np.random.default_rng(seed)
    encoder = StandardFeatures.fit(rows_of(200, seed), OBSERVATION)
    size = encoder.features(rows_of(2)).shape[1]
    weights = [
        (rng.normal(size=(size, 5)), rng.normal(size=5)),
        (rng.normal(size=(5, 4)).astype(np.float32), np.zeros(4, np.float32)),
    ]
    return Network(encoder, weights, "tanh", temperature)


def advantage(seed: int = 5, margin: float = 0.5) -> AdvantageNetwork:
    return AdvantageNetwork(network(seed), margin)


def bare(explore: float = 0.1) -> Policy:
    return Policy("scaling", "0", OBSERVATION, ACTIONS, explore, BaseReference("rule-1"), rule=rule)


def samples(explore: float = 0.1) -> dict[str, Policy]:
    base = bare(explore)
    return {
        "rule": base,
        "map": base.with_layer(moves(), 0.25),
        "table": base.with_layer(table(), 1.0),
        "table step": base.with_layer(table(), 0.4),
        "network": base.with_layer(network(), 1.0),
        "advantage": base.with_layer(advantage(), 0.25),
        "argmax": base.with_layer(network(temperature=0.0), 0.5),
        "stack": base.with_layer(table(), 0.3).with_layer(moves(), 0.5).with_layer(network(), 0.2),
    }


def integer_policy(distribution: np.ndarray, **changes: object) -> Policy:
    """A policy over integers 0..Z-1 whose probabilities are the rows of a table (Z, A)."""
    encoder = IntegerStates(np.arange(len(distribution)))
    layer = ProbabilityTable(encoder, distribution, np.full(distribution.shape[1], 1 / distribution.shape[1]))
    observation = ObservationSpecification("int", (ObservationField("state", "integer"),))
    empty = Policy("taxi", "0", observation, tuple(range(distribution.shape[1])), 0.0, BaseReference("rule-1"))
    policy = empty.with_layer(layer, 1.0)
    return Policy(**{**{name: getattr(policy, name) for name in policy.__dataclass_fields__}, **changes})  # type: ignore[arg-type]
