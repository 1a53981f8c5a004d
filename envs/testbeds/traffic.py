"""Real requests per minute, and episodes drawn from the days that may be logged.

Origin: The Internet Traffic Archive, "1998 World Cup Web Site Access Logs" (M. Arlitt and T. Jin,
HP Labs), freely redistributable; counted per minute by nimamahmoudi/worldcup98-dataset (MIT).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

MINUTES_PER_DAY = 1440
HISTORY = 10
"""Minutes of traffic before an episode's start that its first observation looks back on."""
TENANTS = ("checkout", "media", "search", "ticketing")


@cache
def requests_per_minute() -> tuple[int, np.ndarray]:
    """First minute since the epoch, and the requests of every minute from it, int32."""
    with np.load(Path(__file__).with_name("worldcup98.npz"), allow_pickle=False) as data:
        return int(data["start_minute"]), data["requests"]


def days(*, logged: bool) -> np.ndarray:
    """Whole days (index since the epoch): every other one is logged, the days between never are."""
    first, requests = requests_per_minute()
    start = -(-first // MINUTES_PER_DAY)
    stop = (first + len(requests)) // MINUTES_PER_DAY
    return np.arange(start + (0 if logged else 1), stop, 2)


@dataclass(frozen=True, slots=True, eq=False)
class TrafficEpisodes:
    """Traffic of E episodes.

    Attributes:
        arrivals: float64 (E, HISTORY + minutes), requests per minute, the history first.
        nominal: float64 (E,), the load in requests per minute that the episode is scaled around.
        tenants: str (E,).
        starts: int64 (E,), source minute since the epoch.
    """

    arrivals: np.ndarray
    nominal: np.ndarray
    tenants: np.ndarray
    starts: np.ndarray


def draw_episodes(count: int, minutes: int, *, logged: bool, rng: np.random.Generator) -> TrafficEpisodes:
    """Draws (source hour, phase, amplitude, tenant) with replacement, so that episodes are independent.

    An episode and the history before it lie within one day, so that none reaches into a day of the other kind.
    """
    first, requests = requests_per_minute()
    day = rng.choice(days(logged=logged), size=count)
    minute = rng.integers(HISTORY, MINUTES_PER_DAY - minutes + 1, size=count)  # hour and phase at once
    starts = day * MINUTES_PER_DAY + minute
    window = np.arange(-HISTORY, minutes)
    source = requests[(starts - first)[:, None] + window].astype(float)
    nominal = np.exp(rng.uniform(np.log(6_000), np.log(60_000), size=count))
    level = np.maximum(source[:, :HISTORY].mean(axis=1, keepdims=True), 1.0)
    arrivals = rng.poisson(nominal[:, None] * np.minimum(source / level, 6.0)).astype(float)
    return TrafficEpisodes(arrivals, nominal, rng.choice(np.array(TENANTS), size=count), starts)
