"""A policy's probabilities at every row of a log: whose rule stands below it, and what is not known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from algorithms.on_log import probabilities_on, recoded, without_blind_ends
from algorithms.policy import BaseReference, Policy
from algorithms.policy.components import ProbabilityTable
from envs.dataset import Dataset
from envs.encoding import IntegerStates
from envs.errors import DataError
from envs.observation import ObservationField, ObservationSpecification
from tests.worlds import chain, explored

WORLD = chain(length=4, horizon=5)
ROOT = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])


def log(**changes: Any) -> Dataset:
    dataset = WORLD.log(explored(ROOT, 0.5), 60, 0, root=ROOT)
    return replace(dataset, **changes)


def rule_policy(explore: float = 0.2, **changes: Any) -> Policy:
    declared = WORLD.specification()
    policy = Policy(
        "toy", "0", declared.observation, declared.actions, explore=explore, base=BaseReference(declared.rule_version)
    )
    return replace(policy, **changes)


def table_policy(dataset: Dataset, probabilities: np.ndarray, step: float) -> Policy:
    encoder = IntegerStates.fit(np.arange(4.0)[:, None], dataset.specification.observation)
    return rule_policy().with_layer(ProbabilityTable(encoder, probabilities, np.full(2, 0.5)), step)


def test_every_row_has_the_policys_probabilities() -> None:
    dataset = log()
    states = dataset.observations[:, 0].astype(int)
    np.testing.assert_allclose(probabilities_on(dataset, rule_policy()), explored(ROOT, 0.2)[states])
    np.testing.assert_allclose(probabilities_on(dataset, rule_policy(), floor=False), ROOT[states])
    learned = np.array([[0.3, 0.7]] * 4)
    found = probabilities_on(dataset, table_policy(dataset, learned, 0.25))
    np.testing.assert_allclose(found, (0.8 * (0.75 * ROOT + 0.25 * learned) + 0.1)[states])


def test_actions_that_were_not_allowed_have_none() -> None:
    allowed = np.ones((len(log().observations), 2), dtype=bool)
    allowed[::3, 0] = False
    found = probabilities_on(log(allowed=allowed), rule_policy())
    assert (found[::3, 0] == 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


def test_unknown_ends_are_unknown_and_marked() -> None:
    dataset = log()
    ends = dataset.offsets[1:] + np.arange(dataset.episode_count)
    observations, roots = dataset.observations.copy(), dataset.root_probabilities.copy()
    observations[ends[0]] = np.nan
    roots[ends[1]] = np.nan
    dirty = replace(dataset, observations=observations, root_probabilities=roots)
    found = probabilities_on(dirty, rule_policy())
    assert np.isnan(found[ends[:2]]).all()
    assert np.isfinite(np.delete(found, ends[:2], axis=0)).all()
    marked = without_blind_ends(dirty, found)
    assert marked.end_known.tolist() == [False, False, *dataset.end_known[2:].tolist()]
    # A policy that needs no rule is blind at the first end only.
    whole = table_policy(dataset, np.full((4, 2), 0.5), 1.0)
    assert not whole.needs_base
    alone = probabilities_on(dirty, whole)
    assert without_blind_ends(dirty, alone).end_known[1]
    assert not without_blind_ends(dirty, alone, found).end_known[1]


def test_where_actions_are_forbidden_nobody_knows_what_was_allowed_after_a_cut() -> None:
    """Everything counted as allowed there: a policy was valued by actions that it never may take, and promoted."""
    dataset = log()
    cut = np.arange(60) % 3 == 0
    last = dataset.offsets[1:] - 1
    terminated = dataset.terminated.copy()
    terminated[last[cut]] = False
    dataset = replace(dataset, terminated=terminated)
    early = cut & (dataset.lengths < WORLD.horizon)
    found = probabilities_on(dataset, rule_policy())
    assert 0 < early.sum() < cut.sum() and without_blind_ends(dataset, found).end_known.all()
    allowed = dataset.allowed.copy()
    allowed[dataset.rows[7], 1 - dataset.actions[7]] = False
    masked = without_blind_ends(replace(dataset, allowed=allowed), found)
    assert np.array_equal(masked.end_known, ~early)


def test_a_decision_without_its_rule_is_an_error_that_counts() -> None:
    dataset = log()
    roots = dataset.root_probabilities.copy()
    roots[dataset.rows[[3, 5]]] = np.nan
    with pytest.raises(DataError, match=f"unknown at 2 of {len(dataset)} decisions"):
        probabilities_on(replace(dataset, root_probabilities=roots), rule_policy())


def test_another_version_of_the_rule_is_not_taken_for_it() -> None:
    with pytest.raises(DataError, match="rule-0") as raised:
        probabilities_on(log(), rule_policy(base=BaseReference("rule-0")))
    assert "rule-1" in str(raised.value)


def test_another_agents_policy_stands_on_its_own_rule() -> None:
    dataset = log()
    theirs = rule_policy(agent="other", base=BaseReference("theirs-7"))
    with pytest.raises(DataError, match="theirs-7"):
        probabilities_on(dataset, theirs)
    found = probabilities_on(dataset, theirs.bind(lambda state: "a1" if state >= 2 else "a0"), floor=False)
    states = dataset.observations[:, 0].astype(int)
    np.testing.assert_array_equal(found, np.eye(2)[(states >= 2).astype(int)])


def test_categories_are_read_by_name() -> None:
    def declared(*categories: str) -> ObservationSpecification:
        zone = ObservationField("zone", "category", categories=categories)
        return ObservationSpecification("object", (ObservationField("load"), zone))

    dataset = log()
    rows = np.stack([dataset.observations[:, 0], dataset.observations[:, 0] % 3], axis=1)
    ours = replace(dataset.specification, observation=declared("a", "b", "c"))
    dataset = replace(dataset, specification=ours, observations=rows)
    np.testing.assert_array_equal(recoded(dataset, declared("a", "b", "c")), rows)
    other = recoded(dataset, declared("c", "a", "b"))
    np.testing.assert_array_equal(other[:, 0], rows[:, 0])
    np.testing.assert_array_equal(other[:, 1], (rows[:, 1] + 1) % 3)
    assert (dataset.observations == rows).all()
    # One that the policy never heard of is none of those that it knows.
    unknown = recoded(dataset, declared("a", "b"))[rows[:, 1] == 2, 1]
    assert not np.isin(unknown, [0.0, 1.0]).any()
