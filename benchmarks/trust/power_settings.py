"""Worlds with one truly better finalist, and what many logs of them together say of its power."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from scipy import stats

from algorithms.ope.studentised import CriticalValues
from benchmarks.trust.gate_chain import DRAWS
from benchmarks.trust.worlds import World, dataset_of, explored, on_rows, uniform_start_world
from envs.dataset import Dataset
from tune_configs.gate.asymptotic import spread
from tune_configs.gate.budget import leg_level, needed_multiple
from tune_configs.gate.evidence import Sides, gate_request
from tune_configs.gate.outlook import POWER
from tune_configs.gate.request import GateRequest, Planning
from tune_configs.gate.tail import TailEvidence, largest_difference
from tune_configs.gate.tail_odds import ExtremeTail, TailOdds, tail_odds
from tune_configs.judge import episodes_in

OVERLAP = 0.5
"""Expected effective share of episodes of the one finalist."""
UNITS = 700
"""Final episodes that are to show the gain at the first look in 8 of 10 cases."""
PILOTS, PILOT = 240, 2_000
"""Logs from which deviation and tail are taken, and their episodes: as many as the logs have that are judged, because
a model fitted on fewer episodes leaves a larger deviation. One or two units in 10,000 lie too far out: of 4 and of 12
steps 60 pilots saw 7 and 4 of them, 400 saw 42 and 56."""
WORST = -5.0
"""A reward below it is of the worst class, where a setting declares one."""
RESAMPLES = 500


@dataclass(frozen=True, eq=False)
class Setting:
    """A world with one truly better finalist.

    Attributes:
        name: of the row.
        world: gives the truth.
        champion: float64 (S, A), which writes the logs.
        candidate: float64 (S, A).
        explore: the champion's floor.
        gain: true gain.
        deviation: standard deviation of an episode's paired difference.
        worst: a reward below it is of the declared worst class; ``None`` where none is declared.
        differences: float64, of all pilot logs.
        odds: of the tail condition but for single far units, by all pilot logs; ``None`` before they are drawn.
        decoupled: float64, decoupled differences of all pilot logs.
    """

    name: str
    world: World
    champion: np.ndarray
    candidate: np.ndarray
    explore: float
    gain: float
    deviation: float
    worst: float | None = None
    differences: np.ndarray = field(default_factory=lambda: np.zeros(0))
    odds: TailOdds | None = None
    decoupled: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def chance(self, units: int, level: float) -> float:
        """Probability of a promotion in so many final units, by logs resampled from all pilots.

        The test and the farthest unit of each resampled log are looked at together: what is far out costs both.
        """
        assert self.odds is not None
        total = round(units * 0.5 / 0.35)  # beside .35 final stand .15 select
        pool = self.differences - self.differences.mean() + self.gain
        drawn = pool[np.random.default_rng(units).integers(len(pool), size=(RESAMPLES, total))]
        tested = drawn[:, :units]
        own, deviations = spread(tested, drawn[:, units:], self.decoupled[None])
        means = tested.mean(axis=1)
        critical = CriticalValues((self.differences, self.decoupled), units, total - units, level)
        passed = np.sqrt(units) * means / deviations > critical.above(float(stats.t.isf(level, units - 1)))
        if self.worst is None:
            passed &= np.abs(tested - means[:, None]).max(axis=1) <= largest_difference(units) * own
        return float(passed.mean()) * self.odds.chance(units)

    def reachable(self, level: float, farthest: int) -> bool:
        """Whether any number of units up to ``farthest`` is promoted in 8 of 10 cases."""
        return any(self.chance(int(units), level) >= POWER for units in np.geomspace(200, farthest, 15))


@cache
def settings() -> tuple[Setting, ...]:
    """Clicks of a bandit, skewed costs of a short and of a longer decision process; of the last a worst class too."""
    rng = np.random.default_rng(1)
    clicks = uniform_start_world(2, 6, 4, 1, kind="bernoulli", mean=rng.uniform(0.1, 0.6, (6, 4)))
    short = uniform_start_world(3, 5, 3, 4, end=0.02, kind="skewed")
    longer = uniform_start_world(4, 5, 3, 12, end=0.01, kind="skewed")
    return tuple(
        _setting(name, world, explore, worst)
        for name, world, explore, worst in (
            ("bandit", clicks, 0.3, None),
            ("4 steps", short, 0.4, None),
            ("12 steps", longer, 0.4, None),
            ("12 steps, worst class declared", longer, 0.4, WORST),
        )
    )


def _setting(name: str, world: World, explore: float, worst: float | None) -> Setting:
    """Part of the way towards the optimum and part towards another rule, so that some hundred final episodes tell."""
    best = world.best_policy()
    champion = explored(np.roll(best, 1, axis=1), explore)
    other = explored(np.roll(best, 2, axis=1), explore)
    worth, rng = world.value(champion), np.random.default_rng(0)

    def towards(share: float) -> Setting:
        aim = share * explored(best, explore) + (1.0 - share) * other
        candidate = world.step_of_overlap(champion, aim, OVERLAP)
        return Setting(name, world, champion, candidate, explore, world.value(candidate) - worth, 1.0, worst)

    def measured_at(share: float, pilots: int) -> Setting:
        setting = towards(share)
        asks = [asked(each, draw(each, PILOT, rng), 1) for each in [replace(setting, gain=1.0)] * pilots]
        found = [ask.differences[0] for ask in asks]
        variance = float(np.mean([each.var(ddof=1) for each in found]))
        together = np.concatenate(found)
        odds = tail_odds(_joined([ask.tail for ask in asks]), together, 0)
        odds = replace(odds, extremes=ExtremeTail())  # counted in the resampled logs
        apart = np.concatenate([ask.decoupled[0] for ask in asks if ask.decoupled is not None])
        deviation = float(np.sqrt(variance))
        return replace(setting, deviation=deviation, differences=together, odds=odds, decoupled=apart)

    below, above = 0.0, 1.0
    for _ in range(7):
        middle = 0.5 * (below + above)
        setting = measured_at(middle, 2)
        wanted = needed_multiple(leg_level(1)) * setting.deviation / np.sqrt(UNITS)
        below, above = (middle, above) if setting.gain < wanted else (below, middle)
    return measured_at(above, PILOTS)


def _joined(tails: list[TailEvidence]) -> TailEvidence:
    """The tail evidence of several logs as that of one."""
    returns = np.concatenate([tail.returns for tail in tails])
    worst = [tail.worst for tail in tails if tail.worst is not None]
    weights = [tail.weights for tail in tails if tail.weights is not None]
    if not worst:
        return TailEvidence(returns, declared=tails[0].declared)
    return TailEvidence(returns, np.concatenate(worst), np.concatenate(weights, axis=1), tails[0].declared)


def draw(setting: Setting, episodes: int, rng: np.random.Generator) -> Dataset:
    """A log of the champion; the practical effect is declared as large as the true gain."""
    world = setting.world
    log = world.draw(setting.champion, episodes, rng)
    declared: dict[str, Any] = {}
    if setting.worst is not None:
        declared = {"worst": log.active & (log.rewards < setting.worst), "worst_class": "broken > 0"}
    dataset = dataset_of(log, world, explore=setting.explore, **declared)
    mean = abs(float(dataset.rewards.sum())) / dataset.episode_count
    effect = max(setting.gain / max(mean, 1e-9), 1e-9)
    return replace(dataset, specification=replace(dataset.specification, practical_effect=effect))


def asked(setting: Setting, dataset: Dataset, look: int) -> GateRequest:
    """The gate's request about the one finalist."""
    rows = on_rows(dataset, np.stack([setting.champion, setting.candidate]))
    sides = Sides(*(episodes_in(dataset, *names) for names in (("final",), ("select",), ("train", "select"))))
    planning = Planning(decisions_per_unit=len(dataset) / dataset.episode_count, explore=setting.explore)
    request = gate_request(dataset, rows[0], rows[1:], sides, grade="A", look=look, planning=planning)
    return replace(request, draws=DRAWS, practical_effect=setting.gain)
