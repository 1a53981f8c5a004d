"""Our side of OBP's set-ups: logs of vectors become datasets, and what is estimated on them is right."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.ope.registry import ESTIMATORS
from benchmarks.peers.slope import chosen_by_slope
from benchmarks.trust import bandit_errors
from benchmarks.trust.bandit_errors import (
    COUNTERPARTS,
    GOAL,
    HINDSIGHT,
    anchors,
    mean_errors,
    our_estimates,
    single_decisions,
)
from benchmarks.trust.request import Request


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    context = rng.normal(size=(3_000, 3))
    chances = 1 / (1 + np.exp(-np.stack([context[:, 0], context[:, 1], 0.5 * context[:, 2]], axis=1)))
    behaviour = np.tile([0.6, 0.3, 0.1], (len(context), 1))
    action = (rng.random((len(context), 1)) > behaviour.cumsum(axis=1)).sum(axis=1)
    taken = np.arange(len(context)), action
    target = np.eye(3)[chances.argmax(axis=1)] * 0.8 + 0.2 / 3
    arguments = {
        "context": context,
        "action": action,
        "reward": (rng.random(len(context)) < chances[taken]).astype(float),
        "pscore": behaviour[taken],
        "target": target,
    }
    return arguments, float((target * chances).sum(axis=1).mean())


def test_weights_and_truth(log) -> None:
    arguments, truth = log
    found = our_estimates(**arguments)
    weights = arguments["target"][np.arange(3_000), arguments["action"]] / arguments["pscore"]
    assert found["ips"] == pytest.approx((weights * arguments["reward"]).mean())
    assert found["snips"] == pytest.approx((weights * arguments["reward"]).sum() / weights.sum())
    assert all(abs(value - truth) < 0.05 for value in found.values())
    assert abs(found["doubly_robust"] - truth) < 0.03


def test_every_counterpart_is_an_estimator_of_ours(log) -> None:
    assert set(COUNTERPARTS) <= set(ESTIMATORS) and set(our_estimates(**log[0])) == set(COUNTERPARTS)


def test_the_models_never_see_the_row_after_an_end(log) -> None:
    """Each decision terminates, so its copy behind the end changes nothing."""
    dataset = single_decisions(**{key: log[0][key] for key in ("context", "action", "reward", "pscore")}, choices=3)
    assert np.array_equal(dataset.observations[dataset.rows], log[0]["context"])
    assert dataset.terminated.all() and (dataset.lengths == 1).all()


def test_errors_are_means_over_all_pieces() -> None:
    pieces = [{"digits": {"ours": {"ips": [0.1, 0.3]}}}, {"digits": {"ours": {"ips": [0.8]}}}]
    assert mean_errors(pieces, "digits", "ours") == {"ips": pytest.approx(0.4)}


def test_a_setting_is_chosen_by_the_log_and_the_best_in_hindsight_has_a_goal_of_its_own() -> None:
    errors = {"dr-os 10": 0.3, "dr-os 50": 0.1, "dr-os tuned": 0.05, "dr": 0.01}
    assert anchors("dr-os", errors) == [("dr-os tuned", GOAL), ("dr-os 50", HINDSIGHT)]
    assert anchors("dr", errors) == [("dr", GOAL)]


def test_a_row_holds_by_its_own_anchor(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ((10, 0.04), (50, 0.01), ("tuned", 0.03))

    def made(index: int, runs: int) -> dict[str, object]:
        ours = dict.fromkeys(COUNTERPARTS, [0.02] * runs)
        plain = {name: [0.03] * runs for name in COUNTERPARTS.values() if name not in ("switch-dr", "dr-os")}
        chosen = {f"{name} {of}": [error] * runs for name in ("switch-dr", "dr-os") for of, error in settings}
        return {setup: {"ours": ours, "obp": plain | chosen} for setup in bandit_errors.SETUPS}

    monkeypatch.setattr(bandit_errors, "piece", made)
    rows = bandit_errors.measure(Request(quick=True, logs=7))
    for setup in bandit_errors.SETUPS:
        of = [row for row in rows if row.case == setup and row.metric.startswith("doubly_robust_shrinkage")]
        assert [(row.anchor, row.goal, row.holds) for row in of] == [
            ("OBP dr-os tuned", GOAL, True),
            ("OBP dr-os 50", HINDSIGHT, False),
        ]


def test_the_narrowest_setting_that_agrees_with_all_wider_ones_is_chosen() -> None:
    noise = np.random.default_rng(0).normal(size=400)
    noise = (noise - noise.mean()) / noise.std()
    error = 1.2816 / 20.0  # one-sided half-width at 90 % of a standard deviation of 1
    wide, narrow = noise, 0.1 * noise
    apart = 0.1 * error + (np.sqrt(6) - 1) * error  # what the narrow one may differ from the wide one
    assert chosen_by_slope(np.stack([wide, narrow + 0.98 * apart])) == 1
    assert chosen_by_slope(np.stack([wide, narrow + 1.02 * apart])) == 0
    # One that disagrees ends the search, whatever comes after it.
    assert chosen_by_slope(np.stack([0.01 * noise, narrow + 2.0 * apart, 0.5 * noise, wide])) == 2
    assert chosen_by_slope(np.ones((3, 10))) in range(3)
