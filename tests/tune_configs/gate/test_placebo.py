"""The self-test: nominal where the gate is sound, above where a rule is broken, exact in its arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from algorithms.ope.overlap import OverlapRule
from envs.errors import DataError
from tests.worlds import explored, random_world
from tune_configs import judge
from tune_configs.gate import evidence, placebo, placebo_learning
from tune_configs.gate.budget import alpha_at
from tune_configs.gate.placebo import PlaceboOutcome, run_placebo
from tune_configs.gate.request import GateRequest

EXPLORE = 0.4


def log_of(episodes=800, horizon=4, seed=0, states=4):
    """A log in which action 1 is truly better, with skewed noise; the champion is its own rule."""
    world = random_world(seed, states=states, actions=3, horizon=horizon, terminal=0)
    rule = np.eye(3)[np.resize([0, 0, 2, 1], states)]
    behaviour = explored(rule, EXPLORE)
    log = world.log(behaviour, episodes, seed, specification=world.specification(explore=EXPLORE, reward_range=None))
    rng = np.random.default_rng(seed)
    log = replace(log, rewards=(log.actions == 1) + rng.normal(0.0, 0.3, len(log)))
    seen = log.observations[:, 0].astype(int)
    return log, behaviour[seen], rule[seen]


def test_the_outcome_is_exact():
    outcome = PlaceboOutcome(200, 5, alpha_at(1), 1, 150)
    assert outcome.share == 0.025
    # Clopper-Pearson by its definition: the ends at which 5 of 200 is just not rejected.
    low, high = outcome.interval
    assert stats.binom.sf(4, 200, low) == pytest.approx(0.025) and stats.binom.cdf(5, 200, high) == pytest.approx(0.025)
    assert outcome.p_value == pytest.approx(stats.binom.sf(4, 200, alpha_at(1))) and outcome.passed
    # 6.1 are expected of 200; 13 are still explained at 1 %, 14 are not.
    limit = next(k for k in range(30) if not PlaceboOutcome(200, k, alpha_at(1), 1, 150).passed)
    assert stats.binom.sf(limit - 1, 200, alpha_at(1)) < 0.01 <= stats.binom.sf(limit - 2, 200, alpha_at(1))
    assert PlaceboOutcome(200, 0, alpha_at(1), 1, 150).interval[0] == 0.0
    # As few copies as can put the upper end at the nominal rate.
    needed = PlaceboOutcome(4, 0, alpha_at(2), 2, 4).telling_copies
    ends = [PlaceboOutcome(copies, 0, alpha_at(2), 2, copies).interval[1] for copies in (needed - 1, needed)]
    assert ends[1] <= alpha_at(2) < ends[0]


def test_a_truly_better_action_is_promoted_by_the_log_and_not_by_its_copies():
    log, champion, base = log_of()
    outcome = run_placebo(log, champion, base, copies=40)
    assert outcome.copies == sum(outcome.decisions.values()) == 40
    assert outcome.passed and outcome.promoted <= 4
    # Variants are tested there, not refused for lack of overlap: the zero means something.
    assert outcome.tested >= outcome.decisions.get("inconclusive", 0) > 10
    # The same learner, choice and gate on the log as it is find the better action.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(placebo.Permuter, "copy", lambda self, rng: log)
        assert run_placebo(log, champion, base, copies=2).promoted == 2


def test_a_broken_rule_shows():
    """Learned and chosen on the very units that judge, without the refusal of low overlap, placebos are promoted."""
    log, champion, base = log_of(500, horizon=4, seed=1, states=40)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(judge, "overlap_rule", lambda *_: OverlapRule(0.0, 0.0))
        patched.setattr(
            evidence, "GateRequest", lambda **fields: GateRequest(**fields | {"overlap": OverlapRule(0.0, 0.0)})
        )
        patched.setattr(placebo, "episodes_in", lambda dataset, name: dataset.splits == (0 if name == "train" else 2))
        patched.setattr(placebo_learning, "TRAIN", 2)
        broken = run_placebo(log, champion, base, copies=25)
    assert not broken.passed and broken.share > 0.2, broken


def test_no_outcome_of_final_enters():
    log, champion, base = log_of(300)
    final = (log.splits == 2)[log.episode_index]
    poisoned = replace(log, rewards=np.where(final, np.nan, log.rewards), worst=log.worst | final)
    assert run_placebo(log, champion, base, copies=6) == run_placebo(poisoned, champion, base, copies=6)


def test_it_is_the_same_again_and_another_with_another_seed():
    log, champion, base = log_of(300)
    first = run_placebo(log, champion, base, copies=12, look=2)
    assert first == run_placebo(log, champion, base, copies=12, look=2)
    assert (first.look, first.nominal) == (2, alpha_at(2))
    told: list[int] = []
    other = run_placebo(log, champion, base, copies=12, look=2, seed=5, progress=told.append)
    assert told == list(range(1, 13)) and other.decisions != first.decisions


def test_copies_in_which_nobody_could_be_tested_are_told():
    """A log too small for any look promotes nothing, which is no proof of anything."""
    log, champion, base = log_of(60)
    outcome = run_placebo(log, champion, base, copies=4)
    assert (outcome.promoted, outcome.tested) == (0, 0)


def test_it_needs_copies_and_all_three_splits():
    log, champion, base = log_of(100)
    with pytest.raises(DataError, match="0 copies"):
        run_placebo(log, champion, base, copies=0)
    with pytest.raises(DataError, match="no episode in select"):
        run_placebo(replace(log, splits=np.where(log.splits == 1, 0, log.splits)), champion, base, copies=1)
