"""Regret, ranks and errors of given answers, by arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from benchmarks.trust import regret, sequential_errors
from benchmarks.trust.candidates import Candidates, all_candidates
from benchmarks.trust.sequential_logs import Answers, judged
from benchmarks.trust.worlds import uniform_start_world


def answers(**changes: np.ndarray) -> Answers:
    world = uniform_start_world(0, 2, 2, 1)
    truths = np.array([0.0, 1.0, 2.0, 4.0])
    candidates = Candidates("toy", world, np.full((2, 2), 0.5), np.zeros((4, 2, 2)), truths, np.array([2.0, 1.0]))
    said = {
        "ranking": np.array([[0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 3.0, 2.0]]),
        "value": np.array([truths, truths + 0.2]),
        "fqe": np.array([[0.0, 9.0, 2.0, 3.0], [0.0, 1.0, 3.0, 2.0]]),
        "d3rlpy": np.array([[math.nan, 1.0, math.nan, 4.4]] * 2),
        "SCOPE-RL dm": np.array([[9.0, 1.0, 2.0, 3.0]] * 2),
        "SCOPE-RL dr": np.array([[0.0, 1.0, 9.0, 3.0]] * 2),
    }
    return Answers(candidates, said | changes)


def test_ours_beside_the_limits_and_every_rival() -> None:
    own, beside = regret.own_rows(answers()), regret.peer_rows(answers())
    rows = {(row.metric, row.anchor): row for row in [*own, *beside]}
    ours = 0.25  # the best, then the second best at half the spread
    assert rows["regret@1", "limit"].ours == ours and not rows["regret@1", "limit"].holds
    assert rows["Spearman", "limit"].ours == pytest.approx(0.9) and rows["Spearman", "limit"].holds
    assert rows["regret@1", "fitted Q evaluation alone"].anchor_value == pytest.approx((0.75 + 0.5) / 2)
    assert rows["regret@1", "last checkpoint"].anchor_value == pytest.approx((0.5 + 0.75) / 2)
    assert rows["regret@1", "d3rlpy, fitted Q evaluation"].anchor_value == 1.0
    assert rows["regret@1", "SCOPE-RL dr, best in hindsight"].anchor_value == 0.5
    assert all(rows["regret@1", name].holds for name in ("last checkpoint", "d3rlpy, fitted Q evaluation"))
    # Two regrets of 0 and .5: a standard error of .25.
    assert {row.case for row in rows.values()} == {"toy, 2 logs, ± 0.25"}


def test_a_rival_that_chooses_better_is_a_miss() -> None:
    best = np.array([[0.0, 1.0, 2.0, 3.0]] * 2)
    rows = {row.anchor: row for row in regret.peer_rows(answers(**{"SCOPE-RL dm": best}))}
    assert not rows["d3rlpy, fitted Q evaluation"].holds
    assert not rows["SCOPE-RL dm, best in hindsight"].holds


def test_ranks_the_wrong_way_round_are_a_miss() -> None:
    rows = regret.own_rows(answers(ranking=-answers().said["ranking"]))
    assert not next(row for row in rows if row.metric == "Spearman").holds


def test_where_models_mislead_no_limit_is_asked_for() -> None:
    found = answers()
    misled = replace(found, candidates=replace(found.candidates, misleading=True))
    assert [row.anchor for row in regret.own_rows(misled)] == ["fitted Q evaluation alone", "last checkpoint"]


def test_our_ranking_names_what_tune_would_recommend() -> None:
    candidates = all_candidates()[0]
    log = candidates.world.draw(candidates.behaviour, 400, np.random.default_rng(0))
    found = judged(candidates, log)
    assert sorted(found["ranking"]) == list(range(len(candidates.policies)))
    assert candidates.regret(int(found["ranking"].argmax())) < 0.5
    assert stats.spearmanr(found["ranking"], candidates.truths).statistic > 0.8


def test_errors_are_compared_on_the_policies_that_the_peer_was_asked_about() -> None:
    rows = {(row.metric, row.anchor): row for row in sequential_errors.rows_of(answers())}
    valued = rows["value of a policy: error", "d3rlpy, fitted Q evaluation"]
    assert (valued.ours, valued.anchor_value) == (pytest.approx(0.1 / 4), pytest.approx(0.2 / 4)) and valued.holds
    fitted = rows["fitted Q evaluation: error", "d3rlpy, fitted Q evaluation"]
    assert fitted.ours == pytest.approx((8 + 1 + 0 + 2) / 4 / 4) and not fitted.holds
    assert rows["fitted Q evaluation: error", "SCOPE-RL, fitted Q evaluation"].anchor_value == pytest.approx(10 / 4 / 4)
