"""Grade A-M: what a long log proves step by step, and only where its observations are states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.trust.worlds import World, dataset_of, explored, uniform_start_world
from envs.card.card import build_card
from envs.card.evidence import gather_evidence
from envs.card.grade import grade_log
from envs.dataset import Dataset
from tests.algorithms.ope.marginals import visits
from tests.envs.samples import built
from tests.envs.test_history import different_pairs, pendulum


def world(horizon: int = 60) -> World:
    return uniform_start_world(2, 6, 3, horizon, end=0.01)


RULE = np.eye(3)[[0, 1, 2, 0, 1, 2]]


def log(episodes: int = 900, explore: float = 0.6, horizon: int = 60, **declared: object) -> Dataset:
    """A rule with exploration over 60 steps: products of ratios reach nothing, ratios do."""
    drawn = world(horizon).draw(explored(RULE, explore), episodes, np.random.default_rng(0))
    return dataset_of(drawn, world(horizon), explore=explore, **({"practical_effect": 0.5} | declared))


def graded(dataset: Dataset) -> tuple[str, list[str]]:
    grade, findings = grade_log(gather_evidence(dataset), dataset.specification)
    return grade, [finding.code for finding in findings]


def test_a_long_log_of_states_is_a_m() -> None:
    dataset = log()
    evidence = gather_evidence(dataset)
    assert evidence.overlap is not None and evidence.overlap.fraction < 0.1
    grade, findings = grade_log(evidence, dataset.specification)
    assert grade == "A-M" and findings[0].code == "marginal_overlap"
    assert f"at least {evidence.marginal.effective:,.0f} " in findings[0].sentence  # type: ignore[union-attr]


def test_its_figure_is_the_exact_one_of_the_process() -> None:
    """1 / E[(w ρ)²] of half behaviour, half usual action, at the step where it is least."""
    dataset, behaviour = log(6_000, horizon=40), explored(RULE, 0.6)
    reference = 0.5 * behaviour + 0.5 * RULE
    ours, theirs = visits(world(40), reference), visits(world(40), behaviour)
    squared = (ours**2 / theirs * (reference**2 / behaviour).sum(axis=1)).sum(axis=1)
    left, ended = 1.0 - ours.sum(axis=1), 1.0 - theirs.sum(axis=1)
    exact = 1.0 / np.max(squared + np.divide(left**2, ended, out=np.zeros(40), where=ended > 1e-12))
    marginal = gather_evidence(dataset).marginal
    assert marginal is not None and marginal.fraction == pytest.approx(exact, rel=0.05)


def test_too_few_units_step_by_step_is_c() -> None:
    assert graded(log(150))[0] == "C"


def test_aliased_states_are_c_and_are_named() -> None:
    hidden = different_pairs(0, horizon=60)
    drawn = hidden.draw(explored(np.eye(2)[[0, 1, 0, 1]], 0.7), 900, np.random.default_rng(0))
    grade, codes = graded(dataset_of(drawn, hidden, practical_effect=0.5))
    assert grade == "C" and codes[0] == "low_effective_sample_size" and "aliased_states" in codes


def test_numbers_have_no_exact_states() -> None:
    """The same reach by cells would be a model's: the grade stays C."""
    dataset = pendulum(600, 0, horizon=60)
    evidence = gather_evidence(replace(dataset, propensities=np.where(dataset.actions == 0, 0.7, 0.3)))
    assert evidence.history is not None and evidence.history.passed and evidence.marginal is None


def test_without_propensities_there_is_no_marginal_grade() -> None:
    dataset = log()
    unknown = replace(
        dataset,
        propensities=np.full(len(dataset), np.nan),
        action_probabilities=np.full(dataset.action_probabilities.shape, np.nan),
    )
    assert graded(unknown)[0] == "C"


def test_the_card_of_an_aliased_log_of_grade_a_warns() -> None:
    """Whole episodes prove it; models of it are off all the same."""
    hidden = different_pairs(1, horizon=5)
    drawn = hidden.draw(explored(np.eye(2)[[0, 1, 0, 1]], 0.4), 1_500, np.random.default_rng(1))
    dataset = dataset_of(drawn, hidden, practical_effect=0.5)
    card = build_card(dataset, built(episodes=60)[1])
    assert card.grade == "A"
    finding = next(finding for finding in card.findings if finding.code == "aliased_states")
    assert finding.severity == "warning" and "the past explains" in finding.sentence
    assert "last observation, action and reward" in finding.remedy
