"""Decision records as whole episodes: grouped, put in order, and checked to be complete."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from types import MappingProxyType

import numpy as np

from envs.clock import mistimed
from envs.journal.arrivals import UNKNOWN, Arrivals
from envs.log.exclusions import Exclusion, covered
from envs.record import DecisionRecord
from envs.specification import AgentSpecification

FEWEST = 20
"""Episodes with an end, from which on the longest of them says how long one may be silent."""


@dataclass(frozen=True, slots=True)
class LoggedEpisode:
    """One closed episode.

    Attributes:
        tenant: whose it is.
        name: its id.
        records: its decisions, steps 0 to T - 1.
        start: first timestamp, seconds since the epoch; NaN where absent.
        end: last timestamp.
        sequence: journal position of its latest record.
    """

    tenant: str
    name: str
    records: list[DecisionRecord]
    start: float
    end: float
    sequence: int


@dataclass(frozen=True, slots=True)
class Gathered:
    """The closed episodes of a log in canonical order, and the count of what is not among them.

    ``matures`` is when the first of the immature episodes will be mature, in seconds since the epoch.
    """

    episodes: list[LoggedEpisode]
    records: int
    shadow: int
    open_episodes: int
    open_decisions: int
    abandoned_episodes: int
    duplicated_episodes: int
    broken_episodes: int
    broken_reason: str
    immature_episodes: int
    matures: float
    excluded_episodes: int
    mistimed: int
    mistimed_first: str


def gather_episodes(
    records: Iterable[tuple[int, DecisionRecord]],
    specification: AgentSpecification,
    *,
    now: float | None = None,
    exclusions: Sequence[Exclusion] = (),
    recorded_at: Mapping[int, int] = MappingProxyType({}),
    arrivals: Arrivals = UNKNOWN,
) -> Gathered:
    """The closed episodes among the records, by first timestamp, tenant and id.

    An episode is closed when it terminated or was truncated, when it has as many steps as the declared
    horizon, when it is a decision without an episode, or when it is abandoned (:func:`silent_for_long`): by its
    timestamps, or by its arrival where it has none. Any other is still open. An episode with two records for one step
    is left out: which of them happened cannot be told. So is a closed one that lacks a step or goes on after its end:
    one lost record must not make the whole log useless. A closed episode with a decision whose maturation window is
    still open waits; one with a decision that is excluded is left out. Windows and order do not depend on one
    another: a clock that was set back changes neither.

    Args:
        records: (journal position, record) in any order.
        specification: the agent's declaration.
        now: seconds since the epoch; the present by default.
        exclusions: ranges of the log that are not used.
        recorded_at: position at which a decision was recorded, by its journal position, where that is another.
        arrivals: by when what was recorded had arrived.
    """
    moment = time.time() if now is None else now
    immature = excluded = abandoned = 0
    matures = math.inf
    groups: dict[tuple[str, str], list[tuple[int, DecisionRecord]]] = defaultdict(list)
    total = shadow = open_episodes = open_decisions = duplicated = broken = 0
    reason = ""
    for sequence, record in records:
        total += 1
        if record.mode == "shadow":
            shadow += 1
            continue
        groups[record.tenant, record.episode_id].append((sequence, record))
    candidates: list[LoggedEpisode] = []
    has_end: list[bool] = []
    arrived: list[tuple[float, float]] = []
    odd: list[tuple[int, DecisionRecord]] = []
    latest = newest = -math.inf
    for (tenant, name), numbered in groups.items():
        numbered.sort(key=lambda pair: pair[1].step)
        rows = [record for _, record in numbered]
        last = rows[-1]
        times = [seconds for record in rows if math.isfinite(seconds := record.seconds)]
        start, end = (min(times), max(times)) if times else (math.nan, math.nan)
        wrong: list[tuple[int, DecisionRecord]] = []
        if mistimed(start, moment) or mistimed(end, moment):
            wrong = [pair for pair in numbered if mistimed(pair[1].seconds, moment)]
        credible = [seconds for seconds in times if not mistimed(seconds, moment)] if wrong else times
        latest = max(latest, *credible) if credible else latest
        span = (math.nan, math.nan)
        if len(times) < len(rows) and len(arrivals.through):
            untimed = [recorded_at.get(number, number) for number, record in numbered if record.timestamp is None]
            moments = arrivals.at(np.array(untimed))
            newest = max(newest, np.max(moments, where=np.isfinite(moments), initial=-math.inf))
            span = span if times else (float(moments.min()), float(moments.max()))
        if exclusions and _touches(numbered, exclusions, recorded_at):
            excluded += 1
            wrong = []
        elif any(first.step == second.step for first, second in pairwise(rows)):
            duplicated += 1
        else:
            ended = last.is_single or last.step + 1 >= specification.horizon
            ended = ended or any(record.terminated or record.truncated for record in rows)
            episode = LoggedEpisode(tenant, name, rows, start, end, max(number for number, _ in numbered))
            candidates.append(episode)
            has_end.append(ended)
            arrived.append(span)
        odd += [(recorded_at.get(number, number), record) for number, record in wrong]
    closed = np.array(has_end, dtype=bool)
    by_time = np.array([(episode.start, episode.end) for episode in candidates]).reshape(-1, 2).T
    by_arrival = np.array(arrived).reshape(-1, 2).T
    silent = silent_for_long(specification, closed, by_time, latest, moment)
    silent |= silent_for_long(specification, closed, by_arrival, max(latest, newest), moment)
    episodes = []
    for episode, ended, stopped in zip(candidates, has_end, silent.tolist(), strict=True):
        if not ended and not stopped:
            open_episodes += 1
            open_decisions += len(episode.records)
        elif problem := _broken(episode.records):
            broken, reason = broken + 1, reason or f"episode {episode.name}: {problem}"
        elif specification.maturation and episode.end + specification.maturation > moment:
            immature, matures = immature + 1, min(matures, episode.end + specification.maturation)
        else:
            abandoned += not ended
            episodes.append(episode)
    episodes.sort(key=lambda item: (item.start if math.isfinite(item.start) else math.inf, item.tenant, item.name))
    return Gathered(
        episodes=episodes,
        records=total,
        shadow=shadow,
        open_episodes=open_episodes,
        open_decisions=open_decisions,
        abandoned_episodes=abandoned,
        duplicated_episodes=duplicated,
        broken_episodes=broken,
        broken_reason=reason,
        immature_episodes=immature,
        matures=matures,
        excluded_episodes=excluded,
        mistimed=len(odd),
        mistimed_first=timed(*min(odd, key=itemgetter(0))) if odd else "",
    )


def timed(sequence: int, record: DecisionRecord) -> str:
    """A decision's name, position and time."""
    return f"event {record.event_id} at position {sequence}, {record.timestamp}"


def silent_for_long(
    specification: AgentSpecification, ended: np.ndarray, spans: np.ndarray, latest: float, now: float
) -> np.ndarray:
    """Which episodes have no step since so long that one without an end is abandoned, bool (E,).

    Whoever never closes what goes wrong would choose, by that, what is learned from and what is judged: an incident
    without an end is information, not an episode that is still to come.

    Args:
        specification: the agent's declaration.
        ended: bool (E,), the episodes with an end, which say how long one takes where nothing is declared.
        spans: float64 (2, E), moments of the first and the last step, or of their arrival; seconds since the epoch,
            NaN or inf where not known: such an episode is not silent.
        latest: the log's last moment that a clock can have had (:func:`~envs.clock.mistimed`), seconds since the
            epoch: after it nobody could have recorded anything.
        now: the present, in case a clock was ahead.

    Returns:
        None of them where nothing is declared, and too few episodes say how long they take.
    """
    first, last = spans
    patience = specification.abandoned_after
    if not patience:
        known = ended & np.isfinite(first) & np.isfinite(last)
        patience = float((last[known] - first[known]).max()) if known.sum() >= FEWEST else 0.0
    limit = min(latest, now) - patience if patience else -math.inf
    return np.asarray(last < limit)


def _touches(
    numbered: list[tuple[int, DecisionRecord]], exclusions: Sequence[Exclusion], recorded_at: Mapping[int, int]
) -> bool:
    positions = np.array([number for number, _ in numbered], dtype=np.int64)
    own = np.array([recorded_at.get(number, number) for number, _ in numbered], dtype=np.int64)
    return bool(covered(exclusions, positions, np.array([record.seconds for _, record in numbered]), own).any())


def _broken(rows: list[DecisionRecord]) -> str:
    """What is wrong with the steps of a closed episode, or empty."""
    for expected, record in enumerate(rows):
        if record.step != expected:
            return f"step {expected} is missing, the next is {record.step}"
        if (record.terminated or record.truncated) and expected < len(rows) - 1:
            return f"goes on after its end at step {expected}"
    return ""
