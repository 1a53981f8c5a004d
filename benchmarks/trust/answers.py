"""Of the logs that the data card grades A, how many are answered and not refused?"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from algorithms.ope.doubly_robust import doubly_robust
from algorithms.ope.padding import trajectories_from
from algorithms.ope.paired import paired_estimate
from algorithms.ope.support import undrawn_refusal
from benchmarks.rows import Row
from benchmarks.trust.request import Piece, Request, sizes_of
from benchmarks.trust.tabular_coverage import Setting, settings, tabular_values
from benchmarks.trust.worlds import World, dataset_of, explored, on_rows, uniform_start_world
from envs.card.advice import DEPARTURE, MINIMUM_FRACTION
from envs.card.evidence import gather_evidence
from envs.card.grade import grade_log

LEAST = 0.9
GOAL = f"at least {LEAST:.0%} of the logs of grade A are answered, not refused"
PIECE = 25


def measure(request: Request) -> list[Row]:
    """Random worlds, rules, explorations and sizes of each setting's horizon.

    Two questions per log of grade A: the value of the card's reference policy (half behaviour, half the
    state's usual action), and the gain of the largest step that the card prints as provable, towards such a
    candidate as the card takes: one that departs from the usual action in every fifth state.
    """
    logs = request.count(quick=6, full=400)
    rows = []
    for setting in settings():
        pieces = request.pieces(
            f"answers-{setting.name}", sizes_of(logs, PIECE), lambda index, size, of=setting: piece(of, index, size)
        )
        counts: Counter[str] = Counter()
        for found in pieces:
            counts.update(found)
        for question in ("reference policy", "largest provable step"):
            share = counts[question] / counts["A"] if counts["A"] else 0.0
            case = f"{setting.name}, {counts['A']} of {logs} logs are A"
            rows.append(Row(case, f"{question}: answered", "of A logs", share, "goal", LEAST, GOAL, share >= LEAST))
    return rows


def piece(setting: Setting, index: int, logs: int, seed: int = 0) -> Piece:
    """Logs of grade A among so many, and how many of those are answered."""
    rng = np.random.default_rng([seed, 79, setting.world.horizon, index])
    counts: Counter[str] = Counter()
    for number in range(logs):
        world = like(setting.world, rng)
        explore = float(rng.uniform(0.05, 0.5))
        best = world.best_policy()
        behaviour = explored(best[rng.permutation(len(best))], explore)
        log = world.draw(behaviour, int(np.exp(rng.uniform(np.log(300), np.log(4_000)))), rng)
        dataset = dataset_of(log, world, explore=explore)
        evidence = gather_evidence(dataset)
        if grade_log(evidence, dataset.specification)[0] != "A":
            continue
        counts["A"] += 1
        provable = max((step for step, share in evidence.steps if share >= MINIMUM_FRACTION), default=0.0)
        usual = behaviour.argmax(axis=1)
        choices = world.mean.shape[1]
        departs = rng.random(len(usual)) < DEPARTURE
        other = (usual + rng.integers(1, choices, len(usual))) % choices
        candidate = np.eye(choices)[np.where(departs, other, usual)]
        policies = np.stack(
            [
                behaviour,
                0.5 * (behaviour + np.eye(choices)[usual]),
                (1 - provable) * behaviour + provable * explored(candidate, explore),
            ]
        )
        q, v = tabular_values(dataset, policies, seed=number)
        states = on_rows(dataset, policies)[:, dataset.rows]
        paths = [trajectories_from(dataset, states[p], q=q[p], v=v[p]) for p in range(len(policies))]
        counts["reference policy"] += doubly_robust(paths[1]).usable and not undrawn_refusal(paths[1])
        counts["largest provable step"] += paired_estimate(paths[2], paths[0]).usable
    return {key: int(count) for key, count in counts.items()}


def like(shape: World, rng: np.random.Generator) -> World:
    """A random world of the same size, horizon and kind."""
    world = uniform_start_world(
        int(rng.integers(2**31)), *shape.mean.shape, shape.horizon, end=float(shape.end[0, 0]), kind="skewed"
    )
    if shape.kind == "bernoulli":
        return replace(world, kind="bernoulli", mean=rng.uniform(0.05, 0.6, world.mean.shape))
    return world
