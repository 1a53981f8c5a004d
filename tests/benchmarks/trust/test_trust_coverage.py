"""The coverage benchmark catches intervals that are wrong, and its pieces are the same whoever makes them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope.overlap import OverlapRule
from benchmarks.trust import calibration, tabular_coverage
from benchmarks.trust.estimating import PAIRED, estimates_of
from benchmarks.trust.tabular_coverage import piece, setting_of
from benchmarks.trust.tally import Tally, of_pieces, rows_of
from benchmarks.trust.worlds import uniform_start_world


@pytest.fixture(scope="module")
def setting():
    world = uniform_start_world(3, 4, 2, 3, end=0.05, kind="skewed")
    return setting_of("3 steps", world, 0.5, 400, shares=(0.5,))


def test_ours_cover_and_narrowed_ones_are_caught(setting, monkeypatch) -> None:
    good = rows_of("s", of_pieces([piece(setting, 0, 60)]))
    assert {row.metric for row in good} >= {"doubly_robust: coverage", f"{PAIRED}: coverage"}
    assert all(row.holds for row in good)

    def narrowed(*paths):
        found = estimates_of(*paths)
        half = {name: 0.25 * (each.upper - each.lower) for name, each in found.items()}
        return {
            name: replace(each, lower=each.value - half[name], upper=each.value + half[name])
            for name, each in found.items()
        }

    monkeypatch.setattr(tabular_coverage, "estimates_of", narrowed)
    bad = [row for row in rows_of("s", of_pieces([piece(setting, 0, 60)])) if "coverage" in row.metric]
    assert bad and not any(row.holds for row in bad)


def test_the_value_of_another_policy_is_caught(setting, monkeypatch) -> None:
    other = replace(setting, targets=dict.fromkeys(setting.targets, setting.behaviour))
    valued = tabular_coverage.valued
    monkeypatch.setattr(tabular_coverage, "valued", lambda _, dataset, behavior: valued(other, dataset))
    rows = {row.metric: row for row in rows_of("s", of_pieces([piece(setting, 0, 40)]))}
    assert not rows["doubly_robust: coverage"].holds and not rows[f"{PAIRED}: coverage"].holds


def test_a_piece_depends_on_its_index_alone(setting) -> None:
    assert piece(setting, 1, 3) == piece(setting, 1, 3)
    assert piece(setting, 1, 3) != piece(setting, 2, 3)


def test_the_lowest_share_is_that_from_which_on_everything_covers() -> None:
    good, bad = Tally(500, 500, 475, 1.0), Tally(500, 500, 440, 1.0)
    shares = len(calibration.SHARES)
    assert calibration.lowest_share([good] * shares) == calibration.SHARES[0]
    assert calibration.lowest_share([bad] * 2 + [good] * (shares - 2)) == calibration.SHARES[2]
    assert calibration.lowest_share([good, bad] + [good] * (shares - 2)) == calibration.SHARES[2]
    assert calibration.lowest_share([bad] * shares) == 1.0


def test_a_rule_below_the_lowest_share_is_a_miss(setting, monkeypatch) -> None:
    swept = setting_of("3 steps", setting.world, 0.5, 400, calibration.SHARES)
    good, bad = Tally(500, 500, 475, 1.0), Tally(500, 500, 440, 1.0)
    tallies = {}
    for number, target in enumerate(swept.targets):
        tallies[target, calibration.UNRULED, "doubly_robust"] = good if number >= 2 else bad
        tallies[target, calibration.RULED, "doubly_robust"] = Tally(500, 100, 90, 1.0)
    covers, wrong = calibration.rows_of(swept, tallies)
    assert (covers.ours, covers.anchor_value, covers.holds) == (0.15, 0.10, False)
    assert wrong.ours == 0.02 and wrong.holds
    monkeypatch.setattr(calibration, "rule_of", lambda *_: OverlapRule(100.0, 0.15))
    assert calibration.rows_of(swept, tallies)[0].holds


def test_what_a_rule_refuses_is_what_the_estimator_refuses(setting) -> None:
    """The sweep estimates once without a rule and applies it afterwards."""
    for dataset in tabular_coverage.datasets(replace(setting, episodes=150), 0, 4):
        champion, path = tabular_coverage.valued(setting, dataset)
        ruled, unruled = estimates_of(path, champion), estimates_of(path, champion, ruled=False)
        for name, estimate in ruled.items():
            found = unruled[name]
            rule = calibration.rule_of(name, path)
            assert estimate.refused == rule.refusal(found.effective_sample_size, found.units)
            assert not found.refused and (estimate.refused or np.isclose(estimate.value, found.value))
