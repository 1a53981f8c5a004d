"""The narrowest interval counts only where it covers and answers."""

from __future__ import annotations

import math

import numpy as np

from algorithms.ope.doubly_robust import doubly_robust
from benchmarks.trust.tabular_coverage import datasets, setting_of, valued
from benchmarks.trust.tally import Tally
from benchmarks.trust.widths import for_peers, narrowest, row_of
from benchmarks.trust.worlds import uniform_start_world

VALID, NARROW_BUT_INVALID = Tally(400, 400, 380, 400.0), Tally(400, 400, 360, 320.0)


def test_an_interval_that_does_not_cover_or_often_refuses_is_no_rival() -> None:
    seldom = Tally(400, 300, 290, 150.0)
    assert narrowest({"a": VALID, "b": NARROW_BUT_INVALID, "c": seldom}, "nobody") == ("a", 1.0)
    assert narrowest({"b": NARROW_BUT_INVALID}, "nobody") == ("nobody", math.inf)


def test_wider_than_thirty_per_cent_more_is_a_miss() -> None:
    wide, wider = Tally(400, 400, 380, 519.0), Tally(400, 400, 380, 521.0)
    assert row_of("case", {"ours": wide}, {"theirs": VALID}).holds
    row = row_of("case", {"ours": wider}, {"theirs": VALID, "invalid": NARROW_BUT_INVALID})
    assert not row.holds and row.anchor == "theirs"
    assert not row_of("case", {"ours": NARROW_BUT_INVALID}, {"theirs": VALID}).holds
    assert row_of("case", {"ours": wide}, {"invalid": NARROW_BUT_INVALID}).holds


def test_peers_get_the_numbers_that_our_estimators_see() -> None:
    setting = setting_of("8 steps", uniform_start_world(3, 5, 3, 8, end=0.1, kind="skewed"), 0.4, 200)
    (dataset,) = datasets(setting, 0, 1)
    _, path, _ = valued(setting, dataset)
    policy = next(iter(setting.targets.values()))
    given = for_peers(dataset, path, policy[dataset.observations[dataset.rows, 0].astype(int)])
    ratios = given["target"] / given["pscore"]
    assert np.allclose(np.log(ratios), path.log_ratios)
    ended = ~path.active
    assert ended.any() and np.all(ratios[ended] == 1) and not given["q"][ended].any() and not given["v"][ended].any()
    # Doubly robust from what was given: the peers' own sum.
    weights = np.cumprod(ratios, axis=1)
    before = np.concatenate([np.ones((len(weights), 1)), weights[:, :-1]], axis=1)
    by_them = (weights * (given["rewards"] - given["q"]) + before * given["v"]).sum(axis=1).mean()
    assert np.isclose(by_them, doubly_robust(path, force=True).value)
