"""Each detector finds its defect and leaves sound logs alone, sticky and seasonal ones too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from envs.card import build_card
from envs.card.blocks import find_change
from envs.card.drift import drift
from envs.card.evidence import gather_evidence
from envs.card.findings import Finding
from envs.card.horizons import grades_by_horizon
from envs.card.leaks import excusing_fields, foretelling_fields, leaks
from envs.card.regions import untried_regions
from envs.card.repeats import repeated_episodes, repeated_steps, shuffled_steps, without_copies
from envs.card.spoilt import SPOILT
from envs.card.tenants import mixed_tenants
from envs.dataset import Dataset
from tests.envs import faulty_logs
from tests.envs.clean_logs import KINDS, Kind, clean_log, of_many_actions, sound

# What a log says about itself that is no defect: how it was written, and how much of it there is.
FACTS = {"missing_propensities", "detectable_effect", "low_effective_sample_size", "heavy_unit", "marginal_overlap"}


def codes(found: list[Finding] | tuple[Finding, ...]) -> set[str]:
    return {finding.code for finding in found}


def copied_episodes(dataset: Dataset) -> Finding | None:
    return repeated_episodes(dataset, without_copies(dataset))


def log(seed: int = 0, **kind: object) -> Dataset:
    return sound(Kind(**kind), seed)[0]  # type: ignore[arg-type]


# False alarms.


def false_alarms(seeds: range) -> list[tuple[int, str]]:
    alarms = []
    for seed in seeds:
        found = codes(build_card(*clean_log(seed)).findings) - FACTS
        alarms += [(seed, code) for code in sorted(found)]
    return alarms


def test_sound_logs_of_every_kind_raise_no_alarm() -> None:
    assert false_alarms(range(len(KINDS))) == []


@pytest.mark.full
def test_at_most_two_of_a_hundred_sound_logs_raise_any_alarm() -> None:
    alarms = false_alarms(range(1000, 1200))
    assert len({seed for seed, _ in alarms}) <= 4, alarms


# Drift.


@pytest.mark.parametrize("kind", [{}, {"interval": 0.0}, {"daily": 1.0}, {"horizon": 1, "episodes": 1500}])
def test_new_traffic_is_found_and_is_no_new_rule(kind: dict[str, object]) -> None:
    dataset = log(**kind)
    found = drift(faulty_logs.with_new_traffic(dataset))
    assert codes(found) == {"traffic_drift"} and "level of noise" in found[0].sentence
    assert drift(dataset) == []


@pytest.mark.parametrize("kind", [{}, {"logged": "nothing"}, {"daily": 1.5}, {"sticky": 0.6}])
def test_a_new_rule_is_found_and_matters_only_where_propensities_are_estimated(kind: dict[str, object]) -> None:
    (finding,) = drift(faulty_logs.with_new_rule(log(**kind)))
    assert finding.code == "rule_drift"
    assert finding.severity == ("warning" if "logged" in kind else "information")


def test_the_day_of_a_change_is_told() -> None:
    dataset = log(episodes=1000)
    (finding,) = drift(faulty_logs.with_new_traffic(dataset, share=0.5))
    changed = float(dataset.timestamps[dataset.offsets[500]])
    told = np.datetime64(finding.sentence.partition("around ")[2][:16].replace(" ", "T"))
    assert abs((told - np.datetime64(int(changed), "s")) / np.timedelta64(1, "h")) < 24


def test_half_a_day_of_a_season_is_no_change_but_a_shift_of_its_size_is() -> None:
    columns = np.random.default_rng(0).normal(size=(1500, 1))
    dataset = log()
    hour = dataset.timestamps % 86_400 / 3_600
    assert find_change(dataset, columns + 2.0 * (hour[:, None] > 12)).p_value > 5e-4
    assert find_change(dataset, columns + 2.0 * faulty_logs.later(dataset, 0.5)[:, None]).p_value < 5e-4


def test_rows_that_repeat_each_other_are_not_counted_one_by_one() -> None:
    # Twelve independent values, each held for a twelfth of the log: a test by rows is sure of a change.
    dataset = log(interval=0.0)
    fired = 0
    for seed in range(40):
        held = np.random.default_rng(seed).normal(size=12)[dataset.episode_index * 12 // dataset.episode_count]
        fired += find_change(dataset, held[:, None], least=0.3).p_value < 5e-4
    assert fired == 0


# Leaks.


def leaks_of(dataset: Dataset, *, believed: bool = True) -> list[Finding]:
    return leaks(dataset, foretelling_fields(dataset) if believed else {})


@pytest.mark.parametrize("logged", ["probabilities", "propensity", "nothing"])
def test_a_confidence_set_afterwards_is_found(logged: str) -> None:
    dataset = log(logged=logged)
    believed = gather_evidence(dataset).true_propensities
    noise = 0.3 if logged == "nothing" else 1.0  # the draws betray a much fainter leak
    (finding,) = leaks_of(faulty_logs.with_confidence(dataset, noise=noise * 0.5), believed=believed)
    assert finding.code == "leaking_field" and "confidence" in finding.sentence
    assert leaks_of(dataset, believed=believed) == []


def test_a_field_that_makes_the_propensities_look_false_is_named() -> None:
    """Only its own name: with it in the state each other field knows the draw too, also where it comes last."""
    dataset, report = sound(Kind(logged="propensity"), 0)
    leaking = faulty_logs.with_field(dataset, "status", dataset.actions % 2 + 0.0)
    (finding,) = (one for one in build_card(leaking, report).findings if one.code == "false_propensities")
    assert "without status in the observation they could be true" in finding.sentence
    assert finding.remedy.startswith("if status was set after acting")
    alone = replace(dataset, observations=np.zeros_like(dataset.observations))
    assert excusing_fields(faulty_logs.with_field(alone, "status", dataset.actions % 2 + 0.0), 3.5) == ("status",)
    halved = replace(leaking, propensities=np.where(dataset.actions == 0, 0.5, 1.0) * dataset.propensities)
    (finding,) = (one for one in build_card(halved, report).findings if one.code == "false_propensities")
    assert "without" not in finding.sentence, "no field's doing"


@pytest.mark.parametrize(("actions", "spread", "enough"), [(80, 0.0, True), (80, 0.4, False), (10, 0.4, True)])
def test_few_draws_of_each_of_many_actions_accuse_no_field(actions: int, spread: float, enough: bool) -> None:
    """Neither by where there is support, nor by which rare draw has come, may the same draws foretell themselves."""
    for seed in range(2):
        dataset = of_many_actions(log(seed, horizon=1, episodes=6_000), actions, spread, seed)
        assert leaks_of(dataset) == []
        if enough:  # draws of an action, to read a leak off
            told = dataset.actions % 7 + np.random.default_rng(seed).normal(size=len(dataset))
            assert "leaking_field" in codes(leaks_of(faulty_logs.with_field(dataset, "status", told)))


@pytest.mark.parametrize("every", [False, True])
def test_propensities_that_are_right_on_average_and_false_in_each_state_prove_nothing(every: bool) -> None:
    """Logged is how often an action is taken, 1 / 2 or so, where the rule draws by the load."""
    dataset, report = sound(Kind(episodes=1500, horizon=1), 0)
    shares = np.bincount(dataset.actions, minlength=len(dataset.specification.actions)) / len(dataset)
    probabilities = np.full_like(dataset.action_probabilities, np.nan)
    probabilities[:] = shares if every else np.nan
    averaged = replace(dataset, propensities=shares[dataset.actions], action_probabilities=probabilities)
    card = build_card(averaged, report)
    assert card.grade == "B" and set(grades_by_horizon(averaged).values()) == {"B"}
    errors = [finding.code for finding in card.findings if finding.severity == "error"]
    assert errors in (["leaking_field"], ["false_propensities"])
    assert build_card(dataset, report).grade == "A"


def test_where_the_step_tells_the_end_the_remedy_is_the_step() -> None:
    whole, report = sound(Kind(horizon=5), 0)
    ended = replace(whole, terminated=whole.truncated, truncated=whole.terminated)
    (finding,) = (one for one in build_card(ended, report).findings if one.code == "aliased_states")
    assert "the end" in finding.sentence and "the number of the step" in finding.remedy


def test_a_leak_is_found_where_actions_have_no_effect() -> None:
    assert codes(leaks_of(faulty_logs.with_confidence(log(effect=0.0), noise=0.2))) == {"leaking_field"}


def test_a_backlog_that_was_there_before_is_no_leak_though_it_tells_the_reward() -> None:
    assert leaks_of(faulty_logs.with_persistent_cost(log())) == []


def test_a_field_that_is_there_only_after_success_leaks() -> None:
    dataset = log(episodes=1000)
    done = np.where(dataset.rewards > np.median(dataset.rewards), 1.0, np.nan)
    assert "leaking_field" in codes(leaks_of(faulty_logs.with_field(dataset, "finished", done)))


# Regions.


@pytest.mark.parametrize("logged", ["probabilities", "propensity", "nothing"])
def test_an_action_never_tried_in_a_region_is_named_with_its_place(logged: str) -> None:
    dataset = log(logged=logged, episodes=1500, horizon=2 if logged != "nothing" else 1)
    (finding,) = untried_regions(faulty_logs.without_region(dataset))
    assert finding.code == "untried_region" and finding.sentence.startswith(
        "down was never tried where load is at least"
    )
    bound = float(finding.sentence.partition("at least ")[2].split(" ")[0])
    assert 0.0 < bound < 0.6
    assert untried_regions(dataset) == []


def test_what_was_forbidden_was_not_left_untried() -> None:
    assert untried_regions(log(masked=True)) == []
    everywhere = np.ones_like(log(masked=True).allowed)
    assert codes(untried_regions(replace(log(masked=True), allowed=everywhere))) == {"untried_region"}


def test_rare_exploration_that_missed_a_region_by_chance_is_no_defect() -> None:
    for seed in range(30):
        assert untried_regions(log(seed, explore=0.03, logged="propensity")) == []


# Tenants.


@pytest.mark.parametrize("tenants", [2, 6])
@pytest.mark.parametrize("kind", [{}, {"coarse": True, "sticky": 0.9}, {"daily": 2.0}])
def test_tenants_with_opposite_rewards_are_found_and_tenants_with_other_loads_are_not(
    tenants: int, kind: dict[str, object]
) -> None:
    dataset = log(1, tenants=tenants, **kind)
    finding = mixed_tenants(faulty_logs.with_opposite_tenants(dataset))
    assert finding is not None and finding.sentence.startswith(f"{tenants} tenants get different rewards for ")
    assert mixed_tenants(dataset) is None


def test_where_the_observation_tells_tenants_apart_they_may_differ() -> None:
    dataset = faulty_logs.with_opposite_tenants(log(1, tenants=2))
    whose = np.array([float(unit.partition("/")[0][-1]) for unit in dataset.units])[dataset.episode_index]
    assert mixed_tenants(faulty_logs.with_field(dataset, "whose", whose)) is None


# Repeats and order.


@pytest.mark.parametrize(
    ("make", "detect"),
    [
        (faulty_logs.imported_twice, copied_episodes),
        (faulty_logs.resent, repeated_steps),
        (faulty_logs.shuffled, shuffled_steps),
    ],
)
def test_what_was_written_twice_or_in_another_order_is_found(
    make: Callable[[Dataset], Dataset], detect: Callable[[Dataset], Finding | None]
) -> None:
    dataset = log()
    finding = detect(make(dataset))
    assert finding is not None and "100 " in finding.sentence
    assert detect(dataset) is None


def test_copies_are_found_without_a_clock_but_not_among_few_values() -> None:
    dataset = log(interval=0.0)
    assert copied_episodes(faulty_logs.imported_twice(dataset)) is not None
    few = replace(dataset, observations=np.round(np.nan_to_num(dataset.observations)), rewards=np.zeros(len(dataset)))
    assert copied_episodes(few) is None and copied_episodes(faulty_logs.imported_twice(few)) is None


def test_a_clock_that_was_set_back_once_is_no_shuffling() -> None:
    dataset = log()
    moments = dataset.timestamps.copy()
    moments[700:] -= 3600.0
    assert shuffled_steps(replace(dataset, timestamps=moments)) is None


# All together, as the card tells it.


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (faulty_logs.with_new_traffic, "traffic_drift"),
        (faulty_logs.with_new_rule, "rule_drift"),
        (faulty_logs.with_confidence, "leaking_field"),
        (faulty_logs.without_region, "untried_region"),
        (faulty_logs.imported_twice, "repeated_episodes"),
        (faulty_logs.resent, "repeated_steps"),
        (faulty_logs.shuffled, "shuffled_steps"),
    ],
)
def test_the_card_names_the_defect_and_no_other(make: Callable[[Dataset], Dataset], code: str) -> None:
    dataset, report = sound(Kind(episodes=800, horizon=2), 3)
    found = codes(build_card(make(dataset), report).findings) - FACTS
    assert found == {code}


@pytest.mark.parametrize(
    ("make", "grade", "alone"),
    [(faulty_logs.shuffled, "D", "A"), (faulty_logs.resent, "C", "A"), (faulty_logs.imported_twice, "C", "C")],
)
def test_records_that_are_wrong_themselves_lower_the_grade(
    make: Callable[[Dataset], Dataset], grade: str, alone: str
) -> None:
    """At horizons at which they falsify returns, or their number; no exploration is advised for it."""
    dataset, report = sound(Kind(episodes=800, horizon=2), 3)
    card = build_card(make(dataset), report)
    assert (build_card(dataset, report).grade, card.grade) == ("A", grade)
    assert card.findings[0].severity == "error" and card.findings[0].code in SPOILT
    assert card.exploration_advice == "" and card.provable_steps == ()
    assert grades_by_horizon(make(dataset), card.findings) == {1: alone, 2: grade}


@pytest.mark.parametrize(("count", "grade"), [(4, "A"), (5, "C")])
def test_contradictions_of_more_than_a_hundredth_leave_no_return_known(count: int, grade: str) -> None:
    dataset, report = sound(Kind(), 0)
    few = dataset.select_episodes(np.arange(450))  # of one decision in three
    assert build_card(few, replace(report, contradictory_outcomes=count * 3)).grade == grade


@pytest.mark.parametrize("logged", ["probabilities", "nothing"])
def test_copies_make_no_rule_and_hide_no_drift(logged: str) -> None:
    """A copy foretells what it was copied from, and resembles it."""
    dataset, report = sound(Kind(episodes=1500, horizon=1, logged=logged), 3)
    assert codes(build_card(faulty_logs.imported_twice(dataset), report).findings) - FACTS == {"repeated_episodes"}
    both = faulty_logs.imported_twice(faulty_logs.with_new_traffic(dataset))
    assert codes(build_card(both, report).findings) - FACTS == {"repeated_episodes", "traffic_drift"}
