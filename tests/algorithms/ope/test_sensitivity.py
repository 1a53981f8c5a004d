"""Paths of clip levels, horizons and discounts: their ends are the plain estimate, and they say what changes."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from algorithms.ope.overlap import NO_RULE
from algorithms.ope.registry import ESTIMATORS
from algorithms.ope.sensitivity import clipped, clipping_sensitivity, discount_sensitivity, horizon_sensitivity
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError

BEHAVIOUR = np.array([[0.7, 0.3], [0.4, 0.6], [0.15, 0.85]])
TARGET = np.array([[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]])


def drawn(world, episodes=3_000, target=TARGET):
    batch = world.draw(BEHAVIOUR, episodes, np.random.default_rng(0))
    return world.trajectories(batch, BEHAVIOUR, target, world.q_values(target))


def test_no_cumulative_weight_is_above_the_level_and_the_others_stay(world):
    trajectories = drawn(world, 300, np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]]))
    whole, cut = trajectories.cumulative_weights, clipped(trajectories, 1.5).cumulative_weights
    assert cut == pytest.approx(np.minimum(whole, 1.5), abs=1e-12)
    assert (whole == 0).any() and (whole > 1.5).any()
    with pytest.raises(DataError, match="clip level"):
        clipped(trajectories, 0.0)


@pytest.mark.parametrize("name", ["ips", "snips", "pdis", "weighted_pdis", "doubly_robust"])
def test_the_path_ends_in_the_plain_estimate(world, name):
    trajectories = drawn(world)
    found = clipping_sensitivity(trajectories, name, levels=(1e-9, 1.0, 3.0, 1e9))
    plain = ESTIMATORS[name](trajectories, overlap=NO_RULE)
    assert found.values[-1] == found.value == pytest.approx(plain.value, abs=1e-10)
    assert found.effective[-1] == pytest.approx(plain.effective_sample_size)
    assert np.all(np.diff(found.effective) <= 1e-6)
    # All weights equal: nothing of the policy is left, but the log's own mean or the model.
    if name == "snips":
        assert found.values[0] == pytest.approx(trajectories.returns.mean())
    if name == "doubly_robust":
        assert found.values[0] == pytest.approx(trajectories.v_values[:, 0].mean(), abs=1e-6)
    assert json.dumps(asdict(found))


def test_it_says_when_the_value_hangs_on_one_weight():
    log = Trajectories(np.r_[np.zeros(199), 50.0][:, None], np.zeros((200, 1)), np.ones((200, 1), dtype=bool))
    even = clipping_sensitivity(log, "ips", levels=(2.0, 5.0))
    assert even.sentence == "clipping weights at 2 or more moves the value by less than one standard error"
    ratios = np.zeros((200, 1))
    ratios[-3:] = np.log(400.0)
    log = replace(log, rewards=np.r_[np.zeros(197), 1.0, 1.0, 1.0][:, None], log_ratios=ratios)
    heavy = clipping_sensitivity(log, "ips", levels=(2.0, 5.0))
    assert "moves the value from 6 to 0.075" in heavy.sentence and "few large weights" in heavy.sentence


def test_every_shorter_horizon_is_its_own_estimate(world):
    """Against worlds declared with that horizon, by dynamic programming."""
    trajectories = drawn(world, 40_000)
    found = horizon_sensitivity(trajectories)
    assert found.settings == (1.0, 2.0, 3.0)
    for horizon, value, logged in zip(found.settings, found.values, found.logged, strict=True):
        shorter = replace(world, horizon=int(horizon))
        assert value == pytest.approx(shorter.value(TARGET), abs=0.15)
        assert logged == pytest.approx(shorter.value(BEHAVIOUR), abs=0.06)
    assert found.values[-1] == ESTIMATORS["weighted_pdis"](trajectories, overlap=NO_RULE).value
    assert found.effective[0] > found.effective[1] > found.effective[2]
    with pytest.raises(DataError, match="model made for one horizon"):
        horizon_sensitivity(trajectories, "doubly_robust")
    with pytest.raises(DataError, match="1 to 3"):
        horizon_sensitivity(trajectories, horizons=[4])


def test_every_discount_is_its_own_estimate(world):
    trajectories = drawn(world, 40_000)
    found = discount_sensitivity(trajectories, discounts=(0.0, 0.9, 1.0))
    for discount, value in zip(found.settings, found.values, strict=True):
        assert value == pytest.approx(replace(world, discount=discount).value(TARGET), abs=0.2)
    assert found.values[1] == ESTIMATORS["weighted_pdis"](trajectories, overlap=NO_RULE).value


def test_it_says_where_the_answer_turns():
    """The policy's action pays at once and costs later: better to a horizon of 2, worse from 3 on."""
    rng = np.random.default_rng(0)
    acted = rng.random(4_000) < 0.5
    rewards = np.outer(np.where(acted, 1.0, 0.0), np.array([1.0, 0.0, -3.0, 0.0]))
    ratios = np.zeros((4_000, 4))
    with np.errstate(divide="ignore"):
        ratios[:, 0] = np.log(np.where(acted, 2.0, 0.0))
    trajectories = Trajectories(rewards, ratios, np.ones((4_000, 4), dtype=bool))
    found = horizon_sensitivity(trajectories)
    assert found.values == pytest.approx((1.0, 1.0, -2.0, -2.0))
    assert "at or below the log's own return from horizon 3 on, and on the other side at 2" in found.sentence
    assert "above the log's own return at every horizon from 1 to 2" in horizon_sensitivity(
        trajectories, horizons=[1, 2]
    ).sentence  # fmt: skip
    assert "other side at 0.5" in discount_sensitivity(trajectories, discounts=(0.1, 0.5, 0.6, 1.0)).sentence
    assert json.dumps(asdict(found))
