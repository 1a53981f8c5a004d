"""Who goes on: finalists are usable gains with overlap, the recommendation is the best score."""

from __future__ import annotations

import math
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tune_configs import judged
from tune_configs.gate.request import MAXIMUM_FINALISTS
from tune_configs.recommendation import best_first
from tune_configs.selection import select
from tune_configs.trial_result import TrialResult
from tune_configs.variant import VariantSpecification


def trial(index: int, **figures: Any) -> TrialResult:
    """A variant of its own with one judged checkpoint."""
    variant = VariantSpecification("tabular_q", {"pessimism": float(index)})
    return judged.trial(index, judged.checkpoint(**{"variant": variant, **figures}))


def test_finalists_are_the_gaining_ones_with_overlap_best_lower_bound_first() -> None:
    trials = (
        trial(0, lower=0.1),
        trial(1, refused="no overlap", model=9.0),
        trial(2, lower=0.3),
        trial(3, lower=-0.5, value=-0.2),  # the log reaches it and says it is worse
        trial(4, lower=-0.1, value=0.2),  # not significant, but gaining: the gate has more units
        trial(5, lower=0.0, value=0.0),  # the champion itself
    )
    assert select(trials).finalists == (2, 0, 4)


def test_at_most_five_finalists_and_ties_by_index() -> None:
    trials = tuple(trial(index, lower=0.5) for index in range(9))
    assert select(trials).finalists == (0, 1, 2, 3, 4)
    assert MAXIMUM_FINALISTS == 5


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_in_which_trials_finish_changes_nothing(order: tuple[int, ...]) -> None:
    trials = (trial(0, lower=0.2), trial(1, lower=0.4, model=0.5), trial(2, refused="no overlap", model=0.3))
    found = select(tuple(trials[index] for index in order))
    assert (found.recommended, found.evidence, found.finalists) == (1, "log", (1, 0))


def test_a_model_recommends_what_it_holds_for_better_than_what_the_log_reaches() -> None:
    found = select((trial(0, lower=0.2, model=0.3), trial(1, refused="no overlap", model=0.5)))
    assert (found.recommended, found.evidence, found.finalists) == (1, "model", (0,))
    found = select((trial(0, lower=0.2, model=0.3), trial(1, refused="no overlap", model=0.1)))
    assert (found.recommended, found.evidence) == (0, "log")


def test_a_model_that_the_log_contradicts_recommends_nothing_that_the_log_does_not_reach() -> None:
    denied = trial(0, lower=-2.1, value=-2.0, model=3.0)
    found = select((denied, trial(1, refused="no overlap", model=9.0), trial(2, lower=0.1, model=0.2)))
    assert (found.recommended, found.evidence, found.finalists) == (2, "log", (2,))


def test_every_best_checkpoint_checks_the_models() -> None:
    # The trial proposes its end, which the log does not reach; its middle shows that the models promise too much.
    denied = judged.trial(
        0,
        judged.checkpoint(lower=-2.1, value=-2.0, model=3.0, iteration=4),
        judged.checkpoint(refused="none", model=9.0, iteration=12),
    )
    assert denied.proposed is denied.last
    found = select((denied, trial(1, lower=0.1, model=0.2)))
    assert (found.recommended, found.evidence) == (1, "log")


def test_without_overlap_anywhere_there_is_a_recommendation_and_no_finalist() -> None:
    found = select((trial(0, refused="none", model=-1.0), trial(1, refused="none", model=-0.5)))
    assert (found.recommended, found.evidence, found.finalists) == (1, "model", ())


@pytest.mark.parametrize("first", [0, 1])
def test_a_score_that_is_no_number_never_wins(first: int) -> None:
    lost, found = trial(first, refused="none", model=math.nan), trial(1 - first, refused="none", model=-3.0)
    trials = (lost, found) if first == 0 else (found, lost)
    assert select(trials).recommended == 1 - first


def test_the_end_of_a_training_may_be_recommended_beside_its_own_better_proven_middle() -> None:
    both = judged.trial(
        0, judged.checkpoint(lower=0.1, iteration=4), judged.checkpoint(refused="none", model=0.5, iteration=12)
    )
    found = select((both, trial(1, lower=0.3)))
    assert (found.recommended, found.last, found.evidence, found.finalists) == (0, True, "model", (1, 0))
    found = select((both, trial(1, lower=0.6)))
    assert (found.recommended, found.last, found.evidence) == (1, False, "log")


def test_members_that_took_over_the_same_checkpoint_are_one_finalist() -> None:
    shared = VariantSpecification("dqn", {"learning_rate": 0.01}, 0.1)
    trials = (
        trial(0, lower=0.2, variant=shared, iteration=4),
        trial(1, lower=0.2, variant=shared, iteration=4),
        trial(2, lower=0.1),
        trial(3, lower=0.3, variant=shared, iteration=6),
    )
    assert select(trials).finalists == (3, 0, 2)


@given(st.lists(st.tuples(st.floats(-2, 2), st.booleans(), st.floats(-2, 2)), min_size=1, max_size=12))
def test_rules_hold_whatever_the_figures(figures: list[tuple[float, bool, float]]) -> None:
    trials = tuple(
        trial(index, lower=lower, model=model, refused="" if usable else "no overlap")
        for index, (lower, usable, model) in enumerate(figures)
    )
    found = select(trials)
    chosen = [trials[index] for index in found.finalists]
    assert len(chosen) <= MAXIMUM_FINALISTS
    assert all(each.gain.usable and each.gain.value > 0 for each in chosen)
    assert [each.gain.lower for each in chosen] == sorted((each.gain.lower for each in chosen), reverse=True)
    left = [each for each in trials if each.gain.usable and each.gain.value > 0 and each.index not in found.finalists]
    assert not left or (len(chosen) == 5 and max(e.gain.lower for e in left) <= min(e.gain.lower for e in chosen))
    assert found.recommended == best_first([each.proposed for each in trials])[0]
    assert (found.evidence == "log") == trials[found.recommended].gain.usable
