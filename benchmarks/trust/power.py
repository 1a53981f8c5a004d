"""Does the gate find what is better as often as its own planning says?"""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np
from scipy import stats

from benchmarks.rows import Row
from benchmarks.trust.false_promotions import LEVEL, seed_of
from benchmarks.trust.power_settings import PILOT, PILOTS, POWER, Setting, asked, draw, settings
from benchmarks.trust.request import Piece, Request, sizes_of
from tune_configs.gate.betting import bet
from tune_configs.gate.budget import leg_level, needed_multiple, needed_units
from tune_configs.gate.decision import decide
from tune_configs.gate.outlook import FARTHEST
from tune_configs.gate.request import INCONCLUSIVE, PROMOTE

LOOKS = (1, 2, 3)
TOLERANCE = 0.1
PLANNED = (0.5, 0.8, 0.95)
FIRST = 700
"""Episodes of the log on which the gate is asked for its plan."""
PIECE = 50
BETS_MULTIPLE = 3.6
BETS_LEVEL = 0.05
"""The level at which STATISTICS 5.7 states the multiple."""


def measure(request: Request) -> list[Row]:
    """Rows of all settings."""
    logs = request.count(quick=3, full=300)
    rows = []
    for setting in settings():
        for look in LOOKS:
            rows += [_planned(request, setting, look, planned, logs) for planned in PLANNED]
            rows.append(_stated(request, setting, look, logs))
        rows += _printed(request, setting, logs)
    return [*rows, _bets(request, logs)]


def _planned(request: Request, setting: Setting, look: int, planned: float, logs: int) -> Row:
    """The share promoted in as many units as the leg takes for ``planned``, beside its chance by the whole rule."""
    level = leg_level(look)
    units = needed_units(setting.deviation, setting.gain, level, planned)
    found = _found(request, setting, look, units, logs)["promoted"]
    told = setting.chance(units, level)
    case, goal = f"{setting.name}, look {look}, planned", f"within {100 * TOLERANCE:.0f} points of the planned power"
    unit = f"of {logs} logs of {units} final units"
    return Row(case, "promoted", unit, found / logs, "planned", told, goal, near(found, logs, told))


def _stated(request: Request, setting: Setting, look: int, logs: int) -> Row:
    """The share that the leg finds, whatever the tail condition says, where δ √n / σ is what 80 % take."""
    multiple = needed_multiple(leg_level(look), POWER)
    units = int(np.ceil((multiple * setting.deviation / setting.gain) ** 2))
    found = _found(request, setting, look, units, logs)["shown"]
    case, goal = f"{setting.name}, look {look}, δ√n/σ = {multiple:.2f}", f"at least {POWER:.0%}"
    unit = f"of {logs} logs of {units} final units"
    return Row(case, "shown by the leg", unit, found / logs, "stated", POWER, goal, at_least(found, logs, POWER))


def _found(request: Request, setting: Setting, look: int, units: int, logs: int) -> Counter[str]:
    piece = partial(_promotions, setting, units, look)
    return _summed(request.pieces(f"power-{setting.name}-{look}-{units}", sizes_of(logs, PIECE), piece))


def _summed(pieces: list[Piece]) -> Counter[str]:
    total: Counter[str] = Counter()
    for piece in pieces:
        total.update({key: int(value) for key, value in piece.items()})
    return total


def _promotions(setting: Setting, units: int, look: int, index: int, logs: int) -> Piece:
    rng = np.random.default_rng([seed_of(setting.name), units, look, index])
    tally: Counter[str] = Counter()
    for _ in range(logs):
        answer = decide(asked(setting, draw(setting, episodes_for(units), rng), look))
        tally["promoted"] += answer.decision == PROMOTE
        tally["shown"] += bool(answer.estimates[0].lower > 0.0)
    return dict(tally)


def _printed(request: Request, setting: Setting, logs: int) -> list[Row]:
    """Ask an inconclusive gate, log what it says is needed, and ask again; and how often it says that nothing is."""
    total = _summed(
        request.pieces(f"power-{setting.name}-printed", sizes_of(logs, PIECE), partial(_asked_twice, setting))
    )
    rows, asked_for, without, found = [], total["asked"], total["without"], total["found"]
    if asked_for:
        goal = f"within {100 * TOLERANCE:.0f} points of the 8 of 10 that `inconclusive` promises after its decisions"
        unit = f"of {asked_for} inconclusive gates, {total['decisions'] // asked_for:,} decisions each"
        rows.append(
            Row(
                f"{setting.name}, as printed",
                "promoted",
                unit,
                found / asked_for,
                "printed",
                POWER,
                goal,
                near(found, asked_for, POWER),
            )
        )
    if every := asked_for + without:
        right = 0.0 if setting.reachable(leg_level(2), FARTHEST * (FIRST * 7 // 20)) else 1.0
        told, goal = without / every, "as it is by many logs together, more often than not"
        rows.append(
            Row(
                f"{setting.name}, as printed",
                "told that no number is enough",
                f"of {every} inconclusive gates",
                told,
                "none is",
                right,
                goal,
                at_least(without if right else asked_for, every, 0.5),
            )
        )
    return rows


def _asked_twice(setting: Setting, index: int, logs: int) -> Piece:
    rng = np.random.default_rng([seed_of(setting.name), 5, index])
    tally: Counter[str] = Counter()
    for _ in range(logs):
        log = draw(setting, FIRST, rng)
        first = decide(asked(setting, log, 1))
        if first.decision != INCONCLUSIVE:
            continue
        if first.needs.decisions is None:
            tally["without"] += 1
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
