"""The figures behind the grade: true propensities, weights, provable steps, and advice that comes true."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from envs.build import dataset_from_records
from envs.card import build_card
from envs.card.advice import decisions_per_day, plan_exploration, provable_steps
from envs.card.evidence import gather_evidence
from envs.card.exploration import exploration_share
from envs.card.leaks import foretelling_fields
from envs.card.overlap import measure_overlap, modal_actions, reference_ratios
from envs.card.propensities import martingale_residual
from envs.card.regions import untried_regions
from envs.card.sensitivity import tipping_factor
from envs.dataset import Dataset
from tests.envs.clean_logs import Kind, sound
from tests.envs.samples import KEY, built, numbered, record, simulated, specification

# Propensities.


def falsified(dataset: Dataset, factor: float) -> Dataset:
    nan = np.full_like(dataset.action_probabilities, np.nan)
    wrong = np.where(dataset.propensities < 0.5, dataset.propensities * factor, dataset.propensities)
    return replace(dataset, propensities=wrong, action_probabilities=nan)


def test_true_propensities_pass_and_false_ones_do_not() -> None:
    nan = np.full((480, 3), np.nan)
    for seed in range(20):
        dataset, _ = built(episodes=120, seed=seed)
        assert martingale_residual(dataset) < 3.5
        assert not martingale_residual(replace(dataset, action_probabilities=nan)) >= 3.5
    dataset = built(episodes=600)[0]
    assert martingale_residual(falsified(dataset, 1.0)) < 3.5
    assert martingale_residual(falsified(dataset, 2.0)) > 3.5
    assert martingale_residual(falsified(dataset, 0.5)) > 3.5
    shifted = np.roll(dataset.action_probabilities, 1, axis=1)
    assert martingale_residual(replace(dataset, action_probabilities=shifted)) > 3.5


def test_a_confidence_is_no_propensity() -> None:
    declared, records = simulated(episodes=600, logged="nothing")
    confident = [replace(row, propensity=0.95) for row in records]
    card = build_card(*dataset_from_records(declared, numbered(confident), KEY))
    assert card.grade == "B" and "false_propensities" in [finding.code for finding in card.findings]
    assert card.figures["propensities"] == "estimated"


def test_the_exploration_is_that_of_the_log_and_not_the_declared_one() -> None:
    for explore, logged in ((0.2, "probabilities"), (0.2, "propensity"), (0.05, "propensity"), (0.0, "probabilities")):
        dataset, report = built(episodes=600, explore=explore, logged=logged)
        assert dataset.specification.explore == 0.0
        assert build_card(dataset, report).figures["exploration_share"] == pytest.approx(explore)
    assert "exploration_share" not in build_card(*built(episodes=600, logged="nothing")).figures
    # Of two allowed actions at .9 and .1 a fifth is uniform; without a choice there is nothing to explore.
    allowed, chances = dataset.allowed.copy(), np.tile([0.9, 0.1, 0.0], (len(dataset), 1))
    allowed[:, 2] = False
    allowed[dataset.rows[: len(dataset) // 2], 1] = False
    masked = replace(dataset, allowed=allowed, action_probabilities=chances)
    assert exploration_share(masked) == pytest.approx(0.2)


def test_rare_actions_with_heavy_tailed_propensities_are_not_accused() -> None:
    random = np.random.default_rng(0)
    actions = tuple(range(40))
    records = []
    for number in range(4000):
        probabilities = random.dirichlet(np.full(40, 0.15))
        action = int(random.choice(40, p=probabilities))
        records.append(record(f"e{number}", action=action, propensity=probabilities[action], terminated=True))
    dataset, _ = dataset_from_records(specification(actions=actions, horizon=1), numbered(records), KEY)
    assert not martingale_residual(dataset) >= 3.5


@pytest.mark.parametrize("logged", ["probabilities", "propensity"])
@pytest.mark.parametrize(("explore", "episodes"), [(0.005, 330), (0.01, 330), (0.02, 1000)])
def test_rare_draws_that_did_not_come_accuse_nobody(explore: float, episodes: int, logged: str) -> None:
    """A handful of explored decisions or none, where two are expected: no propensity, no field and no region."""
    for seed in range(5):
        dataset, _ = sound(Kind(explore=explore, episodes=episodes, horizon=1, logged=logged), seed)
        assert not martingale_residual(dataset) >= 3.5
        assert foretelling_fields(dataset) == {} and untried_regions(dataset) == []


def test_a_constant_is_no_propensity_though_no_state_shows_it() -> None:
    """Of 1,200 draws with a propensity of .99 twelve must have been others; of 250 none may be."""
    dataset, _ = sound(Kind(episodes=1200, horizon=1, logged="propensity"), 0)
    confident = replace(dataset, propensities=np.full(1200, 0.99), observations=np.zeros_like(dataset.observations))
    assert martingale_residual(confident) > 3.5
    assert not martingale_residual(confident.select_episodes(np.arange(250))) >= 3.5


def test_a_contradiction_is_counted() -> None:
    dataset, report = built(episodes=400)
    wrong = dataset.propensities.copy()
    wrong[:7] *= 0.9
    card = build_card(replace(dataset, propensities=wrong), report)
    assert card.grade == "B" and card.findings[0].code == "contradictory_propensities"
    assert card.findings[0].sentence.startswith("7 decisions")


# Overlap.


def test_ratios_are_those_of_half_behaviour_and_half_modal_action() -> None:
    dataset, _ = built(episodes=100, explore=0.3)
    modal = modal_actions(dataset)
    assert (modal.max(axis=1) == 1.0).all() and (modal.argmax(1) == dataset.action_probabilities.argmax(1)).all()
    ratios = reference_ratios(dataset, dataset.propensities, modal)
    usual = modal[np.arange(len(dataset)), dataset.actions] == 1.0
    np.testing.assert_allclose(ratios[usual], 0.5 + 0.5 / 0.8)
    np.testing.assert_allclose(ratios[~usual], 0.5)


def test_the_modal_action_from_counts_is_the_rule() -> None:
    known, _ = built(episodes=800, explore=0.3)
    unknown, _ = built(episodes=800, explore=0.3, logged="propensity")
    agree = (modal_actions(known).argmax(axis=1) == modal_actions(unknown).argmax(axis=1)).mean()
    assert agree > 0.9


def test_a_uniform_log_has_no_modal_action_by_chance() -> None:
    for logged in ("probabilities", "propensity"):
        dataset, report = built(episodes=800, explore=1.0, logged=logged)
        assert (modal_actions(dataset) > 0.0).sum(axis=1).mean() > 2.5
        assert build_card(dataset, report).grade == "A"


def test_the_effective_sample_size_is_kishs_over_units() -> None:
    dataset, _ = built(episodes=40, explore=0.5)
    ratios = np.random.default_rng(0).uniform(0.5, 2.0, len(dataset))
    weights = np.array([ratios[4 * e : 4 * e + 4].prod() for e in range(40)])
    overlap = measure_overlap(dataset, ratios)
    assert overlap.effective == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    assert overlap.largest_share == pytest.approx(weights.max() / weights.sum())
    pairs = replace(dataset, units=np.repeat([f"u{index}" for index in range(20)], 2))
    weights = weights.reshape(20, 2).sum(axis=1)
    overlap = measure_overlap(pairs, ratios)
    assert overlap.units == 20 and overlap.effective == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


def test_a_sample_size_of_few_units_is_told_so_that_its_share_agrees() -> None:
    card = build_card(*built(episodes=60))
    shown = replace(card, figures=card.figures | {"units": 4, "effective_sample_size": 3.96})
    assert "effective sample size 3.96 of 4 units" in shown.to_text()


def test_only_the_horizons_first_decisions_are_weighed() -> None:
    dataset, _ = built(episodes=40, explore=0.5)
    ratios = np.random.default_rng(0).uniform(0.5, 2.0, len(dataset))
    short = replace(dataset, specification=replace(dataset.specification, horizon=1))
    weights = ratios[::4]
    overlap = measure_overlap(short, ratios)
    assert overlap.effective == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    assert overlap.mean_return == pytest.approx(dataset.rewards[::4].mean())


def test_the_detectable_effect_shrinks_with_the_root_of_the_log() -> None:
    few, many = (gather_evidence(built(episodes=count, explore=0.4)[0]).overlap for count in (300, 2700))
    assert few is not None and many is not None
    assert few.detectable / many.detectable == pytest.approx(3.0, rel=0.25)


def test_episodes_under_embargo_are_not_counted() -> None:
    declared, records = simulated(episodes=300, declared=specification(unit="day", embargo=7200.0))
    dataset, report = dataset_from_records(declared, numbered(records), KEY)
    evidence = gather_evidence(dataset)
    assert report.embargoed_episodes > 0 and evidence.overlap is not None
    assert len(evidence.overlap.weights) == report.episodes - report.embargoed_episodes
    assert evidence.units == 7


# Steps and advice.


def test_provable_steps_are_what_a_simulated_candidate_attains() -> None:
    dataset, _ = built(episodes=2500, explore=0.3)
    modal = modal_actions(dataset)
    steps = dict(provable_steps(dataset, modal, dataset.propensities))
    random = np.random.default_rng(1)
    usual = modal.argmax(axis=1)
    departs = random.random(len(dataset)) < 0.2
    candidate = np.where(departs, (usual + random.integers(1, 3, len(dataset))) % 3, usual)
    for step in (0.05, 0.1, 0.25):
        ratios = 1.0 - step + step * (candidate == dataset.actions) / dataset.propensities
        assert steps[step] == pytest.approx(measure_overlap(dataset, ratios).fraction, rel=0.1)
    shares = list(steps.values())
    assert shares == sorted(shares, reverse=True)


def test_provable_steps_without_all_probabilities_are_about_the_same() -> None:
    known, unknown = (build_card(*built(episodes=800, logged=logged)) for logged in ("probabilities", "propensity"))
    for (step, one), (other, two) in zip(known.provable_steps, unknown.provable_steps, strict=True):
        assert step == other and two == pytest.approx(one, abs=0.06)


def test_the_advised_exploration_makes_the_same_rule_grade_a() -> None:
    plan = plan_exploration(3.0, 4.0)
    assert plan is not None and plan.step and plan.cost == pytest.approx(plan.explore * 2 / 3)
    card = build_card(*built(episodes=plan.units, explore=plan.explore))
    assert card.grade == "A"
    assert dict(card.provable_steps)[0.1] >= 0.1


def test_advice_gives_cost_decisions_and_days() -> None:
    advice = build_card(*built(episodes=400, explore=0.0)).exploration_advice
    assert "% of the decisions" in advice and "decisions are needed" in advice and "days at the present 19" in advice
    without = build_card(*built(episodes=400, explore=0.0, start=None)).exploration_advice
    assert "days" not in without and "decisions are needed" in without


def test_the_floor_of_many_actions_needs_more_exploration() -> None:
    few, many = plan_exploration(2.0, 1.0), plan_exploration(80.0, 1.0)
    assert few is not None and many is not None
    assert many.explore / 80.0 >= 0.003 > 0.01 / 80.0 and many.explore > few.explore
    assert plan_exploration(80.0, 500.0) is None


def test_the_sensitivity_factor_is_where_the_sign_may_turn() -> None:
    weights = np.ones(4)
    assert tipping_factor(weights, np.array([0.0, 1.0, 2.0, 3.0])) == 1.0
    # Two returns, weights 1 and w: the mean falls to one half when the worst factors undo w.
    for ratio in (1.5, 3.0):
        weights, returns = np.array([1.0, ratio]), np.array([0.0, 1.0])
        assert tipping_factor(weights, returns) == pytest.approx(math.sqrt(ratio), rel=1e-6)
        assert tipping_factor(weights, -returns) == pytest.approx(math.sqrt(ratio), rel=1e-6)


def test_a_wrong_date_makes_no_rate() -> None:
    dataset, _ = built(episodes=40)
    times = dataset.timestamps.copy()
    times[0], times[-1] = -1e9, 4_070_908_800.0
    expected = decisions_per_day(replace(dataset, timestamps=np.where(np.isin(times, times[[0, -1]]), np.nan, times)))
    assert decisions_per_day(replace(dataset, timestamps=times)) == expected > 1.0
