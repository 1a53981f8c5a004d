"""Cut episodes are weighed for in a comparison, but not where a weight stands for one step alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ai_engine.comparing.evidence import Evidence
from ai_engine.evaluating import every_estimate
from algorithms.ope.registry import NEEDS_STATE_RATIOS
from tests.worlds import random_world
from tune_configs.judge import Judge, episodes_in


def test_marginal_estimates_are_those_of_an_evaluation() -> None:
    """Their weights were divided by the last step's chance: of three decisions, cut evenly, 1.19 where it is .83."""
    world = random_world(2, states=3, horizon=3, terminal=0)
    behaviour = np.full((3, 3), 1 / 3)
    log = world.log(behaviour, 400, 0)
    kept = np.random.default_rng(1).integers(1, 4, log.episode_count)
    runs = [
        (
            log.observations[log.offsets[e] + e : log.offsets[e] + e + n + 1, 0].astype(int).tolist(),
            log.actions[log.offsets[e] : log.offsets[e] + n].tolist(),
            log.rewards[log.offsets[e] : log.offsets[e] + n].tolist(),
            False,
        )
        for e, n in enumerate(kept)
    ]
    random, left = (
        world.dataset(runs, behaviour, specification=replace(world.specification(), reward_range=None, censoring=each))
        for each in ("random", "informative")
    )
    policies = np.stack(
        [np.full((len(left.observations), 3), 1 / 3), np.tile([0.5, 0.3, 0.2], (len(left.observations), 1))]
    )

    def evidence(dataset) -> Evidence:
        sides = {"evaluated": episodes_in(dataset, "select"), "fitted": episodes_in(dataset, "train")}
        judge = Judge(dataset, policies[0], markov=True, **sides)
        return Evidence(None, (), dataset, policies, judge, judge.trajectories(policies))  # type: ignore[arg-type]

    weighing, plain = evidence(random), evidence(left)
    assert weighing.judge.weighs_cuts and not plain.judge.weighs_cuts
    for number in range(2):
        ours, theirs = (
            {
                e.estimator: e.value
                for e in every_estimate(a.unweighed[number], a.weighed[number], 0.95, units=None, force=True)
            }
            for a in (weighing, plain)
        )
        assert ours.keys() == theirs.keys() >= set(NEEDS_STATE_RATIOS)
        for name in NEEDS_STATE_RATIOS:
            assert np.isclose(ours[name], theirs[name]), name
