"""A policy's probabilities at every row of a log, and what the log knows of its base there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from algorithms.policy import Policy
from algorithms.policy.rule import rule_probabilities
from envs.dataset import Dataset
from envs.errors import DataError
from envs.observation import ObservationSpecification


def probabilities_on(dataset: Dataset, policy: Policy, *, floor: bool = True) -> np.ndarray:
    """Probabilities of a policy at all rows of a log, float64 (N + E, A).

    Rows whose observation, or whose base where the policy stands on one, is not known are NaN. The base
    is what the log knows of it, or, for another agent's policy, the rule that the policy is bound to.

    Args:
        dataset: the log.
        policy: a policy over the log's actions.
        floor: whether the exploration floor is added.

    Raises:
        DataError: a decision's row is not known, so the policy cannot be valued on it.
    """
    observations = recoded(dataset, policy.observation)
    known = np.isfinite(observations).any(axis=1)
    root = _root(dataset, policy, known) if policy.needs_base else None
    if root is not None:
        known &= np.isfinite(root).all(axis=1)
    missing = ~known[dataset.rows]
    if missing.any():
        raise DataError(
            f"the rule below policy {policy.version} is unknown at {int(missing.sum())} of {len(dataset)} decisions",
            where=f"agent {dataset.specification.name}",
            remedy='declare rule = "module:function" in retrainer.toml; or record through Agent, and leave out what an'
            f" earlier version of the rule decided: retrainer log exclude {dataset.specification.name} --to MOMENT",
        )
    found = np.full((len(known), len(policy.actions)), np.nan)
    found[known] = policy.probabilities(
        observations[known],
        allowed=dataset.allowed[known],
        base=None if root is None else root[known],
        floor=floor,
    )
    return found


def _root(dataset: Dataset, policy: Policy, known: np.ndarray) -> np.ndarray:
    """Probabilities of the rule below a policy at all rows (N + E, A), NaN where not known."""
    specification = dataset.specification
    assert policy.base is not None
    if policy.agent == specification.name:
        if policy.base.version == specification.rule_version:
            return dataset.root_probabilities
        raise DataError(
            f"stands on the rule {policy.base.version!r}, the log knows {specification.rule_version!r}",
            where=f"policy {policy.agent}@{policy.version}",
            remedy="train again on the present rule",
        )
    if policy.rule is None:
        raise DataError(
            f"the rule {policy.base.version!r} below it is not at hand",
            where=f"policy {policy.agent}@{policy.version}",
            remedy='declare rule = "module:function" of its agent in retrainer.toml',
        )
    found = np.full((len(known), len(policy.actions)), np.nan)
    rows = recoded(dataset, policy.observation)[known]
    found[known] = rule_probabilities(policy.rule, policy.observation, policy.actions, rows)
    return found


def recoded(dataset: Dataset, observation: ObservationSpecification) -> np.ndarray:
    """The log's raw rows (N + E, D) as another declaration of the same fields numbers its categories.

    A category that the other declaration does not have is -1, unknown, as it would be in serving.
    """
    rows = dataset.observations
    for position, (logged, read) in enumerate(
        zip(dataset.specification.observation.fields, observation.fields, strict=True)
    ):
        if logged.categories == read.categories:
            continue
        if rows is dataset.observations:
            rows = rows.copy()
        codes = [read.categories.index(name) if name in read.categories else -1 for name in logged.categories]
        column = rows[:, position]
        declared = column >= 0
        column[declared] = np.array([*codes, -1], dtype=np.float64)[column[declared].astype(np.int64)]
    return rows


def without_blind_ends(dataset: Dataset, *probabilities: np.ndarray) -> Dataset:
    """The log with those ends marked unknown at which what a policy does, (N + E, A), is NaN or anybody's guess.

    What was allowed after a cut is not recorded. Where the log forbids actions anywhere, a policy would be valued there
    as one that may do all: of 6,000 episodes, a third cut by chance, one gained .96 that loses .2 in truth.
    """
    ends = dataset.offsets[1:] + np.arange(dataset.episode_count)
    known = dataset.end_known & np.all([np.isfinite(values[ends]).all(axis=1) for values in probabilities], axis=0)
    if not dataset.allowed[dataset.rows].all():
        known &= dataset.terminated[dataset.offsets[1:] - 1] | (dataset.lengths >= dataset.specification.horizon)
    return replace(dataset, end_known=known)
