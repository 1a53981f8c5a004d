"""Probabilities in the dataset: as logged, in the declared order, and the bare rule's beneath them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs.build import dataset_from_records
from envs.errors import DataError
from envs.record import DecisionRecord
from tests.envs.samples import KEY, episode, numbered, record, specification


def build(records: list[DecisionRecord], **changes: Any) -> Any:
    rule = changes.pop("rule", None)
    return dataset_from_records(specification(**changes), numbered(records), KEY, rule=rule)


def test_probabilities_and_propensities_are_in_the_declared_order() -> None:
    dataset, _ = build(
        [
            record("a", 0, action="up", action_probabilities={"up": 0.25, "hold": 0.75}),
            record("a", 1, action="up", action_probabilities=[0.5, 0.2, 0.3]),
            record("a", 2, propensity=0.4),
            record("a", 3),
        ]
    )
    np.testing.assert_allclose(dataset.action_probabilities[:2], [[0, 0.75, 0.25], [0.5, 0.2, 0.3]])
    assert np.isnan(dataset.action_probabilities[2:]).all()
    np.testing.assert_array_equal(dataset.propensities, [0.25, 0.3, 0.4, np.nan])


def test_allowed_actions_are_masks_and_all_at_the_end() -> None:
    dataset, _ = build([record("a", 0, allowed_actions=["up", "hold"]), record("a", 1, terminated=True)])
    assert dataset.allowed.tolist() == [[False, True, True], [True] * 3, [True] * 3]


def test_the_root_is_what_the_agent_wrote_or_the_rule_without_its_floor() -> None:
    floored = {"down": 0.1, "hold": 0.8, "up": 0.1}
    masked = {"hold": 0.85, "up": 0.15}
    wrong = {"down": 0.05, "hold": 0.95}
    common: dict[str, Any] = {"policy_version": "rule-1"}
    dataset, report = build(
        [
            record("a", 0, metadata={"root_probabilities": [0, 0, 1]}, action_probabilities=floored, **common),
            record("a", 1, action_probabilities=floored, **common),
            record("a", 2, action_probabilities=masked, allowed_actions=["hold", "up"], **common),
            record("a", 3, action_probabilities=wrong, **common),
            record("b", 0, action_probabilities=floored, policy_version="policy-7", terminated=True),
        ],
        explore=0.3,
    )
    np.testing.assert_allclose(dataset.root_probabilities[:3], [[0, 0, 1], [0, 1, 0], [0, 1, 0]], atol=1e-12)
    assert np.isnan(dataset.root_probabilities[3:]).all(), "no floor of .3, the end, and another policy"
    assert report.known_roots == 3


def test_a_rule_is_asked_at_every_known_observation() -> None:
    asked = []

    def rule(observation: Any) -> Any:
        asked.append(observation)
        return "up" if observation["load"] > 0.5 else {"down": 0.5, "hold": 0.5}

    end = {"load": 0.0, "queue": {"size": 8.0}}
    rows = episode("a", 2, terminated=True, next_observation=end) + episode("b", 1, terminated=True)
    dataset, _ = build(rows, rule=rule)
    assert dataset.root_probabilities[:4].tolist() == [[0.5, 0.5, 0], [0, 0, 1], [0.5, 0.5, 0], [0.5, 0.5, 0]]
    assert np.isnan(dataset.root_probabilities[4]).all()
    assert asked[2] == end


@pytest.mark.parametrize("answer", ["sideways", {"up": 0.5}, {"sideways": 1.0}, None, [1, 2]])
def test_a_rule_that_answers_nonsense_is_named(answer: Any) -> None:
    with pytest.raises(DataError, match="rule"):
        build(episode("a", 1, terminated=True), rule=lambda _: answer)


def test_a_rule_that_fails_is_named() -> None:
    with pytest.raises(DataError, match=r"rule-1.*KeyError"):
        build(episode("a", 1, terminated=True), rule=lambda observation: observation["absent"])
