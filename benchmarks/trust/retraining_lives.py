"""One agent's life: log by the champion, choose, gate, promote, and again on what the new champion writes."""

from __future__ import annotations

import numpy as np

from benchmarks.trust.gate_chain import gate_decisions
from benchmarks.trust.null_logs import EXPLORE, indifferent_world, random_variants, rule_of
from benchmarks.trust.worlds import Log, dataset_of, explored, join, turns
from envs.dataset import FINAL, SELECT
from tune_configs.gate.evidence import Sides
from tune_configs.gate.request import PROMOTE

CYCLES = 30
EPISODES = 500
VARIANTS = 8
KEPT = 3
"""Cycles whose train and select episodes models are fitted on; final is read once, in its own cycle."""


def life(rng: np.random.Generator, cycles: int = CYCLES) -> int:
    """Promotions in a world in which nothing is ever better; each look costs its α_j and reads new units only."""
    world = indifferent_world()
    champion = explored(rule_of(world), EXPLORE)
    kept: list[Log] = []
    looks = promotions = 0
    for _ in range(cycles):
        kept = [*kept[-(KEPT - 1) :], world.draw(champion, EPISODES, rng)]
        splits = np.tile(turns(EPISODES), len(kept))
        newest = np.arange(len(splits)) >= EPISODES * (len(kept) - 1)
        dataset = dataset_of(join(kept), world, explore=EXPLORE, splits=splits)
        sides = Sides(
            tested=newest & (splits == FINAL), selected=newest & (splits == SELECT), fitted=splits != FINAL
        )  # fmt: skip
        variants = random_variants(rng, VARIANTS, champion)
        (answer,) = gate_decisions(dataset, champion, variants, (looks + 1,), sides=sides).values()
        if answer is None:
            continue
        decision, finalists = answer
        looks += decision.alpha > 0
        if decision.decision == PROMOTE and decision.winner is not None:
            promotions += 1
            champion = variants[finalists[decision.winner]]
    return promotions
