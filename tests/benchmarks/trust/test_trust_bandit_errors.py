"""Our side of OBP's set-ups: logs of vectors become datasets, and what is estimated on them is right."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.ope.registry import ESTIMATORS
from benchmarks.trust.bandit_errors import COUNTERPARTS, mean_errors, our_estimates, single_decisions


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
