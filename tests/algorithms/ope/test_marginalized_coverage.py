"""95 % intervals by marginal weights cover at every overlap that is answered; under aliased states they do not."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats

from algorithms.ope.cross_fitting import cross_fit
from algorithms.ope.doubly_robust import doubly_robust
from algorithms.ope.doubly_robust_marginalized import (
    MARGINAL_RULE,
    doubly_robust_marginalized,
    marginalized_contributions,
)
from algorithms.ope.intervals import student_t
from algorithms.ope.overlap import NO_RULE
from algorithms.ope.padding import trajectories_from
from algorithms.ope.state_action_models import TabularModel
from algorithms.ope.state_ratios import cross_fit_state_ratios
from benchmarks.trust.worlds import World, dataset_of, explored, on_rows, uniform_start_world
from envs.card.history import history_test
from tests.algorithms.ope.marginals import visits

FOLDS = 3


@dataclass(frozen=True)
class Cell:
    """A log and a target: (1 - η) behaviour + η (the optimum, explored), with η as the overlap asks."""

    horizon: int
    episodes: int
    trajectory_share: float = 0.0
    thinnest_share: float = 0.0
    stay: float = 0.0
    states: int = 5


CELLS = {
    "10 steps, overlap 32 %": Cell(10, 800, 0.32),
    "50 steps, overlap 0.5 %": Cell(50, 800, 0.005),
    "10 steps, at the smallest overlap": Cell(10, 900, 0.0, 0.25),
    "50 sticky steps, at the smallest overlap": Cell(50, 1_000, 0.0, 0.25, stay=0.8, states=10),
}
QUICK = {
    "8 steps, overlap 32 %": Cell(8, 250, 0.32),
    "20 steps, overlap 1 %": Cell(20, 250, 0.01),
}


def built(cell: Cell) -> tuple[World, np.ndarray, np.ndarray]:
    """World, behaviour and target of a cell."""
    world = uniform_start_world(4, cell.states, 3, cell.horizon, end=0.005, kind="skewed")
    world = replace(world, move=cell.stay * np.eye(cell.states)[:, None] + (1.0 - cell.stay) * world.move)
    best = world.best_policy()
    behaviour = explored(np.roll(best, 1, axis=1), 0.4 if cell.trajectory_share else 0.15)
    aim = explored(best, 0.4 if cell.trajectory_share else 0.02)
    if cell.trajectory_share:
        return world, behaviour, world.step_of_overlap(behaviour, aim, cell.trajectory_share)
    below, above = 0.0, 1.0
    for _ in range(30):
        middle = 0.5 * (below + above)
        enough = thinnest_share(world, behaviour, (1 - middle) * behaviour + middle * aim) >= cell.thinnest_share
        below, above = (middle, above) if enough else (below, middle)
    return world, behaviour, (1 - below) * behaviour + below * aim


def thinnest_share(world: World, behaviour: np.ndarray, target: np.ndarray) -> float:
    """Expected effective share of units at the step where it is smallest, exact."""
    theirs, ours = visits(world, behaviour), visits(world, target)
    squared = (ours**2 / theirs * (target**2 / behaviour).sum(axis=1)).sum(axis=1)
    ended, left = 1.0 - theirs.sum(axis=1), 1.0 - ours.sum(axis=1)
    return float(1.0 / np.max(squared + np.where(ended > 0, left**2 / np.maximum(ended, 1e-12), 0.0)))


def paths(world, log, policies, seed):
    """Trajectories of each policy (P, O, A), values and ratios cross-fitted on the log itself."""
    dataset, states = dataset_of(log, world), log.states
    rows = on_rows(dataset, policies)
    model = TabularModel(dataset.observations[:, 0].astype(np.int64), world.observed_count, policies.shape[2])
    every = np.ones(dataset.episode_count, dtype=bool)
    q, v = cross_fit(model, dataset, rows, evaluated=every, folds=FOLDS, seed=seed)
    ratios = cross_fit_state_ratios(model, dataset, rows, evaluated=every, folds=FOLDS, seed=seed)
    assert ratios.shape[2] == states.shape[1] - 1
    return [
        trajectories_from(dataset, rows[p][dataset.rows], q=q[p], v=v[p], state_log_ratios=ratios[p], markov=True)
        for p in range(len(policies))
    ]


def coverage(cell: Cell, logs: int, seed: int = 0) -> dict[str, float]:
    """Covered logs of the value and of the paired gain, and means over logs of what else is asked."""
    world, behaviour, target = built(cell)
    truth, gain = world.value(target), world.value(target) - world.value(behaviour)
    rng, found = np.random.default_rng(seed), dict.fromkeys(("value", "gain", "size", "width", "plain width"), 0.0)
    for number in range(logs):
        log = world.draw(behaviour, cell.episodes, rng)
        ours, champion = paths(world, log, np.stack([target, behaviour]), number)
        estimate = doubly_robust_marginalized(ours, overlap=NO_RULE)
        plain = doubly_robust(ours, overlap=NO_RULE)
        paired = student_t(marginalized_contributions(ours) - marginalized_contributions(champion))
        found["value"] += estimate.lower <= truth <= estimate.upper
        found["gain"] += paired.lower <= gain <= paired.upper
        found["size"] += estimate.effective_sample_size / logs
        found["width"] += (estimate.upper - estimate.lower) / logs
        found["plain width"] += (plain.upper - plain.lower) / logs
    return found


def assert_covers(found: dict[str, float], logs: int) -> None:
    for name in ("value", "gain"):
        chance = stats.binomtest(int(found[name]), logs, 0.95, alternative="less").pvalue
        assert chance > 0.01, (name, found[name] / logs)


@pytest.mark.parametrize("name", QUICK)
def test_intervals_cover(name):
    found = coverage(QUICK[name], 150)
    assert_covers(found, 150)
    if "1 %" in name:
        assert found["width"] < 0.5 * found["plain width"]


@pytest.mark.full
@pytest.mark.parametrize("name", CELLS)
def test_intervals_cover_over_2000_logs(name):
    cell = CELLS[name]
    found = coverage(cell, 2_000)
    print(name, {key: value / 2_000 if key in ("value", "gain") else round(value, 2) for key, value in found.items()})
    assert_covers(found, 2_000)
    if cell.thinnest_share:
        assert found["size"] == pytest.approx(MARGINAL_RULE.minimum_units, rel=0.15)


def aliased(seed: int) -> tuple[World, np.ndarray, np.ndarray]:
    """Pairs of states look alike, and their rewards differ; the target differs from a random rule."""
    world = uniform_start_world(seed, 8, 3, 10, end=0.01, kind="skewed", alias=np.arange(8) // 2)
    world = replace(world, move=0.3 * np.eye(8)[:, None] + 0.7 * world.move)
    rng = np.random.default_rng(seed)
    behaviour = explored(np.eye(3)[rng.integers(0, 3, 4)], 0.4)
    return world, behaviour, 0.5 * behaviour + 0.5 * explored(np.eye(3)[rng.integers(0, 3, 4)], 0.2)


def test_aliased_states_deceive_it_and_the_history_test_tells():
    """In a world in which the alias matters it covers far less than it says, and the history test fails the logs."""
    world, behaviour, target = aliased(1)
    rng, hits, told = np.random.default_rng(0), 0, 0
    for number in range(60):
        log = world.draw(behaviour, 500, rng)
        estimate = doubly_robust_marginalized(paths(world, log, target[None], number)[0], overlap=NO_RULE)
        hits += estimate.lower <= world.value(target) <= estimate.upper
        told += history_test(dataset_of(log, world)).failed
    assert hits < 0.85 * 60 and told >= 58


@pytest.mark.full
def test_what_passes_the_history_test_covers():
    """Over aliased worlds at large: the logs that pass are those in which the aliasing does not matter."""
    rng, hits, passed, logs = np.random.default_rng(0), 0, 0, 0
    for seed in range(120):
        world, behaviour, target = aliased(seed)
        for _ in range(10):
            logs += 1
            log = world.draw(behaviour, 300, rng)
            if history_test(dataset_of(log, world)).failed:
                continue
            passed += 1
            estimate = doubly_robust_marginalized(paths(world, log, target[None], logs)[0], overlap=NO_RULE)
            hits += estimate.lower <= world.value(target) <= estimate.upper
    print(f"{passed} of {logs} logs pass, {hits / passed:.3f} of them are covered")
    assert passed > 100
    assert stats.binomtest(hits, passed, 0.95, alternative="less").pvalue > 0.01
