"""How often does the gate promote where nothing is better? At its nominal α_j, and through a life of retraining."""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np
from scipy import stats

from benchmarks.rows import Row
from benchmarks.trust.gate_chain import gate_decisions
from benchmarks.trust.null_logs import (
    Draw,
    aliased_states,
    deceptive_model,
    delayed_outcomes,
    drift,
    exact_null,
    overrides,
    rare_catastrophe,
)
from benchmarks.trust.request import Piece, Request, sizes_of
from benchmarks.trust.retraining_lives import CYCLES, life
from tune_configs.gate.budget import alpha_at
from tune_configs.gate.request import PROMOTE

LOOKS = (1, 3)
LEVEL, LIFETIME = 0.01, 0.05
COUNTS = (1, 8, 64, 512)
VARIANTS = 8
"""Of the settings whose difficulty lies elsewhere."""
SETTINGS: dict[str, tuple[Draw, tuple[int, ...]]] = {
    "exact null": (exact_null, COUNTS),
    "rare catastrophe": (rare_catastrophe, (VARIANTS,)),
    "rare catastrophe, 4 steps": (partial(rare_catastrophe, horizon=4), (VARIANTS,)),
    "drift, shared days": (drift, (VARIANTS,)),
    "aliased states": (aliased_states, (VARIANTS,)),
    "aliased, praised by the model": (deceptive_model, (VARIANTS,)),
    "overrides": (overrides, (VARIANTS,)),
    "delayed outcomes": (delayed_outcomes, (VARIANTS,)),
}
TESTED = 1 / 3
PIECE = 50


def measure(request: Request) -> list[Row]:
    """Rows of all settings and of the lives."""
    rows = []
    for name, (draw, counts) in SETTINGS.items():
        logs = request.count(quick=2, full=1_000)
        found = request.pieces(f"false-{name}", sizes_of(logs, PIECE), partial(_piece, draw, counts, seed_of(name)))
        rows += _rows(name, counts, logs, _summed(found))
    lives = request.count(quick=1, full=200)
    promoted = _summed(request.pieces("false-lives", sizes_of(lives, PIECE), _lives))
    goal = f"at most α in total through {CYCLES} cycles on data of its own: a binomial test at 1 % does not find more"
    count = promoted["life"]
    holds = nominal(count, lives, LIFETIME)
    rows.append(
        Row(
            f"{CYCLES} retraining cycles",
            "lives with a false one",
            f"of {lives} lives",
            count / lives,
            "α",
            LIFETIME,
            goal,
            holds,
        )
    )
    return rows


def nominal(count: int, of: int, rate: float) -> bool:
    """Whether a binomial test at 1 % lets the rate stand."""
    return bool(stats.binomtest(count, of, rate, alternative="greater").pvalue >= LEVEL)


def seed_of(name: str) -> int:
    """A seed of its own for each setting."""
    return int.from_bytes(name.encode()[:6], "big")


def _piece(draw: Draw, counts: tuple[int, ...], seed: int, index: int, logs: int) -> Piece:
    rng = np.random.default_rng([seed, index])
    tally: Counter[str] = Counter()
    for _ in range(logs):
        log = draw(rng, max(counts))
        found = gate_decisions(log.dataset, log.champion, log.variants, LOOKS, counts=counts)
        for (count, look), answer in found.items():
            tally[f"{count}/{look}/promoted"] += answer is not None and answer[0].decision == PROMOTE
            tally[f"{count}/{look}/tested"] += answer is not None and answer[0].alpha > 0
    return dict(tally)


def _lives(index: int, count: int) -> Piece:
    rng = np.random.default_rng([17, index])
    return {"life": sum(life(rng) > 0 for _ in range(count))}


def _summed(pieces: list[Piece]) -> Counter[str]:
    total: Counter[str] = Counter()
    for piece in pieces:
        total.update({key: int(value) for key, value in piece.items()})
    return total


def _rows(name: str, counts: tuple[int, ...], logs: int, tally: Counter[str]) -> list[Row]:
    rows = []
    for count in counts:
        case = f"{name}, {count} variant{'' if count == 1 else 's'}"
        for look in LOOKS:
            promoted, rate = tally[f"{count}/{look}/promoted"], alpha_at(look)
            goal = f"false promotions at the nominal α of look {look}: a binomial test at 1 % does not find more"
            unit, holds = f"of {logs} logs", nominal(promoted, logs, rate)
            rows.append(Row(case, f"promoted at look {look}", unit, promoted / logs, f"α_{look}", rate, goal, holds))
        tested = tally[f"{count}/{LOOKS[0]}/tested"]
        goal = "a rate means nothing of a gate that never tests: a finalist is tested in at least a third of the logs"
        holds = bool(stats.binomtest(tested, logs, TESTED, alternative="less").pvalue >= LEVEL)
        rows.append(Row(case, "a finalist was tested", f"of {logs} logs", tested / logs, "goal", TESTED, goal, holds))
    return rows
