"""What a value hangs on is told of that value, or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from ai_engine.evaluation_diagnostics import diagnostics_of
from algorithms.ope.censoring import censoring_survival, censoring_weighted
from algorithms.ope.overlap import NO_RULE
from algorithms.ope.padding import trajectories_from
from algorithms.ope.registry import estimator
from envs.dataset import Dataset
from tests.worlds import random_world


def _log(cut: bool) -> Dataset:
    """Episodes of three decisions, all of them or cut after any."""
    world, behaviour = random_world(2, states=3, horizon=3, terminal=0), np.full((3, 3), 1 / 3)
    log = world.log(behaviour, 300, 0)
    kept = np.random.default_rng(1).integers(1, 4, log.episode_count) if cut else np.full(log.episode_count, 3)
    seen, runs = log.observations[:, 0].astype(int).tolist(), []
    for episode, length in enumerate(kept):
        first = int(log.offsets[episode])
        decisions = slice(first, first + length)
        states = seen[first + episode : first + episode + length + 1]
        runs.append((states, log.actions[decisions].tolist(), log.rewards[decisions].tolist(), False))
    return world.dataset(runs, behaviour)


@pytest.mark.parametrize("cut", [True, False])
def test_cut_episodes_are_weighed_for_in_what_a_value_hangs_on(cut: bool) -> None:
    dataset = _log(cut)
    policy = np.tile([0.5, 0.3, 0.2], (len(dataset.observations), 1))
    zeros = {"q": np.zeros((dataset.episode_count, 3)), "v": np.zeros((dataset.episode_count, 4))}
    under = trajectories_from(dataset, policy[dataset.rows], **zeros)
    weighed = censoring_weighted(dataset, under, censoring_survival(dataset))
    value, other = (estimator("weighted_pdis")(each, overlap=NO_RULE) for each in (weighed, under))
    found = diagnostics_of(
        dataset,
        weighed=weighed,
        trajectories=under,
        units=None,
        model="tabular",
        propensities=dataset.propensities,
        estimates=[value],
    )
    assert found is not None and found.clipping is not None
    assert found.clipping.value == pytest.approx(value.value) and (value.value == pytest.approx(other.value)) != cut
    # The log's own return, with which these compare, would be that of episodes that were cut.
    assert [each is None for each in (found.horizon, found.discount, found.confounding)] == [cut] * 3
