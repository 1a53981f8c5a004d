"""Does the gate find what is better as often as its own planning says?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from scipy import stats

from benchmarks.rows import Row
from benchmarks.trust.false_promotions import LEVEL, seed_of
from benchmarks.trust.gate_chain import DRAWS
from benchmarks.trust.request import Piece, Request, sizes_of
from benchmarks.trust.worlds import World, dataset_of, explored, on_rows, uniform_start_world
from envs.dataset import Dataset
from tune_configs.gate.betting import bet
from tune_configs.gate.budget import leg_level, needed_multiple, needed_units, planned_power
from tune_configs.gate.decision import decide
from tune_configs.gate.evidence import Sides, gate_request
from tune_configs.gate.request import INCONCLUSIVE, PROMOTE, GateRequest, Planning
from tune_configs.judge import episodes_in

LOOKS = (1, 2, 3)
POWER, TOLERANCE = 0.8, 0.1
PLANNED = (0.5, 0.8, 0.95)
OVERLAP = 0.5
"""Expected effective share of episodes of the one finalist."""
UNITS = 700
"""Final episodes that are to show the gain at the first look in 8 of 10 cases."""
PILOTS, PILOT = 12, 2_000
"""Logs from which deviation and skewness are taken, and their episodes: as many as the logs have that are judged,
because a model fitted on fewer episodes leaves a larger deviation."""
FIRST = 700
"""Episodes of the log on which the gate is asked for its plan."""
PIECE = 50
BETS_MULTIPLE = 3.6
BETS_LEVEL = 0.05
"""The level at which STATISTICS 5.7 states the multiple."""


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
        skewness: of it.
    """

    name: str
    world: World
    champion: np.ndarray
    candidate: np.ndarray
    explore: float
    gain: float
    deviation: float
    skewness: float


@cache
def settings() -> tuple[Setting, ...]:
    """Clicks of a bandit, skewed costs of a short and of a longer decision process."""
    rng = np.random.default_rng(1)
    clicks = uniform_start_world(2, 6, 4, 1, kind="bernoulli", mean=rng.uniform(0.1, 0.6, (6, 4)))
    short = uniform_start_world(3, 5, 3, 4, end=0.02, kind="skewed")
    longer = uniform_start_world(4, 5, 3, 12, end=0.01, kind="skewed")
    return tuple(
        _setting(name, world, explore)
        for name, world, explore in (("bandit", clicks, 0.3), ("4 steps", short, 0.4), ("12 steps", longer, 0.4))
    )


def _setting(name: str, world: World, explore: float) -> Setting:
    """Part of the way towards the optimum and part towards another rule, so that some hundred final episodes tell."""
    best = world.best_policy()
    champion = explored(np.roll(best, 1, axis=1), explore)
    other = explored(np.roll(best, 2, axis=1), explore)
    worth, rng = world.value(champion), np.random.default_rng(0)

    def towards(share: float) -> Setting:
        aim = share * explored(best, explore) + (1.0 - share) * other
        candidate = world.step_of_overlap(champion, aim, OVERLAP)
        return Setting(name, world, champion, candidate, explore, world.value(candidate) - worth, 1.0, 0.0)

    def measured_at(share: float, pilots: int) -> Setting:
        setting = towards(share)
        moments = [_moments(replace(setting, gain=1.0), rng) for _ in range(pilots)]
        variance, third = np.mean(moments, axis=0)
        return replace(setting, deviation=float(np.sqrt(variance)), skewness=min(float(third / variance**1.5), 0.0))

    below, above = 0.0, 1.0
    for _ in range(7):
        middle = 0.5 * (below + above)
        setting = measured_at(middle, 2)
        wanted = needed_multiple(leg_level(1)) * setting.deviation / np.sqrt(UNITS)
        below, above = (middle, above) if setting.gain < wanted else (below, middle)
    return measured_at(above, PILOTS)


def _moments(setting: Setting, rng: np.random.Generator) -> tuple[float, float]:
    """Variance and third central moment of the paired differences of one log."""
    differences = asked(setting, draw(setting, PILOT, rng), 1).differences[0]
    return float(differences.var(ddof=1)), float(stats.moment(differences, 3))


def draw(setting: Setting, episodes: int, rng: np.random.Generator) -> Dataset:
    """A log of the champion; the practical effect is declared as large as the true gain."""
    world = setting.world
    dataset = dataset_of(world.draw(setting.champion, episodes, rng), world, explore=setting.explore)
    mean = abs(float(dataset.rewards.sum())) / dataset.episode_count
    declared = replace(dataset.specification, practical_effect=max(setting.gain / max(mean, 1e-9), 1e-9))
    return replace(dataset, specification=declared)


def asked(setting: Setting, dataset: Dataset, look: int) -> GateRequest:
    """The gate's request about the one finalist."""
    rows = on_rows(dataset, np.stack([setting.champion, setting.candidate]))
    sides = Sides(*(episodes_in(dataset, *names) for names in (("final",), ("select",), ("train", "select"))))
    planning = Planning(decisions_per_unit=len(dataset) / dataset.episode_count, explore=setting.explore)
    request = gate_request(dataset, rows[0], rows[1:], sides, grade="A", look=look, planning=planning)
    return replace(request, draws=DRAWS, practical_effect=setting.gain)


def measure(request: Request) -> list[Row]:
    """Rows of all settings."""
    logs = request.count(quick=3, full=300)
    rows = []
    for setting in settings():
        for look in LOOKS:
            rows += [_planned(request, setting, look, planned, logs) for planned in PLANNED]
            rows.append(_stated(request, setting, look, logs))
        rows.append(_printed(request, setting, logs))
    return [*rows, _bets(request, logs)]


def _planned(request: Request, setting: Setting, look: int, planned: float, logs: int) -> Row:
    """The share found in as many units as the planning asks for ``planned``."""
    level, skewness = leg_level(look), setting.skewness
    units = needed_units(setting.deviation, setting.gain, level, planned, skewness)
    found = _found(request, setting, look, units, logs)
    told = planned_power(setting.deviation, setting.gain, units, level, skewness)
    case, goal = f"{setting.name}, look {look}, planned", f"within {100 * TOLERANCE:.0f} points of the planned power"
    unit = f"of {logs} logs of {units} final units"
    return Row(case, "promoted", unit, found / logs, "planned", told, goal, near(found, logs, told))


def _stated(request: Request, setting: Setting, look: int, logs: int) -> Row:
    """The share found where δ √n / σ is what 80 % take without skewness."""
    multiple = needed_multiple(leg_level(look), POWER)
    units = int(np.ceil((multiple * setting.deviation / setting.gain) ** 2))
    found = _found(request, setting, look, units, logs)
    case, goal = f"{setting.name}, look {look}, δ√n/σ = {multiple:.2f}", f"at least {POWER:.0%}"
    unit = f"of {logs} logs of {units} final units, skewness {setting.skewness:.1f}"
    return Row(case, "promoted", unit, found / logs, "stated", POWER, goal, at_least(found, logs, POWER))


def _found(request: Request, setting: Setting, look: int, units: int, logs: int) -> int:
    piece = partial(_promotions, setting, units, look)
    pieces = request.pieces(f"power-{setting.name}-{look}-{units}", sizes_of(logs, PIECE), piece)
    return sum(each["found"] for each in pieces)


def _promotions(setting: Setting, units: int, look: int, index: int, logs: int) -> Piece:
    rng = np.random.default_rng([seed_of(setting.name), units, look, index])
    found = 0
    for _ in range(logs):
        dataset = draw(setting, episodes_for(units), rng)
        found += decide(asked(setting, dataset, look)).decision == PROMOTE
    return {"found": found}


def _printed(request: Request, setting: Setting, logs: int) -> Row:
    """Ask an inconclusive gate, log what it says is needed, and ask again."""
    pieces = request.pieces(f"power-{setting.name}-printed", sizes_of(logs, PIECE), partial(_asked_twice, setting))
    total: Counter[str] = Counter()
    for piece in pieces:
        total.update({key: int(value) for key, value in piece.items()})
    asked_for = max(total["asked"], 1)
    goal = f"within {100 * TOLERANCE:.0f} points of the 8 of 10 that `inconclusive` promises after its decisions"
    unit = f"of {total['asked']} inconclusive gates, {total['decisions'] // asked_for:,} decisions each"
    found = total["found"]
    return Row(
        f"{setting.name}, as printed", "promoted", unit, found / asked_for, "printed", POWER, goal,
        near(found, asked_for, POWER),
    )  # fmt: skip


def _asked_twice(setting: Setting, index: int, logs: int) -> Piece:
    rng = np.random.default_rng([seed_of(setting.name), 5, index])
    tally: Counter[str] = Counter()
    for _ in range(logs):
        log = draw(setting, FIRST, rng)
        first = decide(asked(setting, log, 1))
        if first.decision != INCONCLUSIVE or first.needs.decisions is None:
            continue
        dataset = draw(setting, max(round(first.needs.decisions * log.episode_count / len(log)), 20), rng)
        tally["asked"] += 1
        tally["decisions"] += first.needs.decisions
        tally["found"] += decide(asked(setting, dataset, 2)).decision == PROMOTE
    return dict(tally)


def _bets(request: Request, logs: int) -> Row:
    """The finite-sample leg alone on clicks: one finalist, a champion that wrote the log, at 5 %."""
    (setting,) = (each for each in settings() if each.world.horizon == 1)
    pilot = asked(setting, draw(setting, PILOTS * PILOT, np.random.default_rng(0)), 1).bounded
    assert pilot is not None
    deviation = float(pilot.differences.std(ddof=1))
    units = int(np.ceil((BETS_MULTIPLE * deviation / setting.gain) ** 2))
    pieces = request.pieces("power-bets", sizes_of(logs, PIECE), partial(_bets_won, setting, units))
    found = sum(piece["found"] for piece in pieces)
    case = f"{setting.name}, finite-sample leg, δ√n/σ = {BETS_MULTIPLE}"
    unit, goal = f"of {logs} logs of {units} final units", f"at least {POWER:.0%} at a level of {BETS_LEVEL:.0%}"
    return Row(case, "found", unit, found / logs, "stated", POWER, goal, at_least(found, logs, POWER))


def _bets_won(setting: Setting, units: int, index: int, logs: int) -> Piece:
    rng = np.random.default_rng([seed_of(setting.name), 7, index])
    found = 0
    for _ in range(logs):
        bounded = asked(setting, draw(setting, episodes_for(units), rng), 1).bounded
        assert bounded is not None
        found += int(bet(bounded, 0.0, BETS_LEVEL).rejected[0])
    return {"found": found}


def episodes_for(units: int) -> int:
    """Episodes of which so many fall into final, by turns of 20."""
    return -(-units * 20 // 7)


def near(count: int, of: int, rate: float) -> bool:
    """Whether the share may be within the tolerance of a rate: neither side is rejected at 1 %."""
    low, high = max(rate - TOLERANCE, 0.0), min(rate + TOLERANCE, 1.0)
    below = stats.binomtest(count, of, low, alternative="less").pvalue
    above = stats.binomtest(count, of, high, alternative="greater").pvalue
    return bool(min(below, above) >= LEVEL)


def at_least(count: int, of: int, rate: float) -> bool:
    """Whether a binomial test at 1 % lets the rate stand."""
    return bool(stats.binomtest(count, of, rate, alternative="less").pvalue >= LEVEL)
