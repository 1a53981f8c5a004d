"""What an artefact does with a raw observation is what it does with the dataset's row of it, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.policy import Network, Policy, ProbabilityTable
from envs.build import dataset_from_records
from envs.encoding import KMeansStates, QuantileGrid, StandardFeatures
from tests.algorithms.policy.policies import ACTIONS, bare
from tests.envs.samples import KEY, numbered, specification
from tests.envs.test_encoding_kinds import EVERYTHING, observations, records_of


def component(kind: str, rows: np.ndarray) -> Any:
    random = np.random.default_rng(0)
    if kind == "network":
        encoder = StandardFeatures.fit(rows, EVERYTHING)
        weights = [
            (random.normal(size=(encoder.size, 6)), random.normal(size=6)),
            (random.normal(size=(6, 4)), np.zeros(4)),
        ]
        return Network(encoder, weights, "tanh", 0.7)
    states: Any = KMeansStates.fit(rows, EVERYTHING, count=3)
    if kind == "grid":
        states = QuantileGrid.fit(rows, EVERYTHING, bins=3, fields=range(3))
    shares = random.dirichlet(np.ones(4), size=states.count)
    return ProbabilityTable(states, shares, np.full(4, 0.25), np.ones(states.count, dtype=bool))


@pytest.mark.parametrize("kind", ["network", "grid", "kmeans"])
@settings(max_examples=25, deadline=None)
@given(seen=st.lists(observations, min_size=3, max_size=8))
def test_the_artefact_serves_what_the_dataset_was_encoded_as(kind: str, seen: list[dict[str, Any]]) -> None:
    dataset, _ = dataset_from_records(specification(observation=EVERYTHING, horizon=1), numbered(records_of(seen)), KEY)
    rows = dataset.observations[dataset.rows]
    policy = replace(bare(0.0), observation=EVERYTHING, rule=None)
    policy = policy.with_layer(component(kind, rows[:3]), 1.0)
    served = Policy.from_bytes(policy.to_bytes())
    encoder: Any = served.layers[-1].component.encoder
    encode = encoder.features if kind == "network" else encoder.states
    fitted: Any = policy.layers[-1].component.encoder
    wanted = fitted.features(rows) if kind == "network" else fitted.states(rows)
    probabilities = policy.probabilities(rows)
    for row, name in enumerate(dataset.units):
        raw = seen[int(name.rpartition("e")[2])]
        np.testing.assert_array_equal(encode(served.observation.row(raw)[None, :])[0], wanted[row])
        # A network's sums of many rows round in another order than those of one.
        found = served.act(raw).probabilities
        np.testing.assert_allclose([found[action] for action in ACTIONS], probabilities[row], rtol=1e-12)
