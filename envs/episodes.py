"""Decision records as whole episodes: grouped, put in order, and checked to be complete."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from envs.log.exclusions import Exclusion, covered
from envs.record import DecisionRecord
from envs.specification import AgentSpecification


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
    duplicated_episodes: int
    broken_episodes: int
    broken_reason: str
    immature_episodes: int
    matures: float
    excluded_episodes: int


def gather_episodes(
    records: Iterable[tuple[int, DecisionRecord]],
    specification: AgentSpecification,
    *,
    now: float | None = None,
    exclusions: Sequence[Exclusion] = (),
    recorded_at: Mapping[int, int] = MappingProxyType({}),
) -> Gathered:
    """The closed episodes among the records, by first timestamp, tenant and id.

    An episode is closed when it terminated or was truncated, when it has as many steps as the declared
    horizon, or when it is a decision without an episode. Any other is still open. An episode with two
    records for one step is left out: which of them happened cannot be told. So is a closed one that lacks
    a step or goes on after its end: one lost record must not make the whole log useless. A closed episode
    with a decision whose maturation window is still open waits; one with a decision that is excluded is
    left out. Windows and order do not depend on one another: a clock that was set back changes neither.

    Args:
        records: (journal position, record) in any order.
        specification: the agent's declaration.
        now: seconds since the epoch; the present by default.
        exclusions: ranges of the log that are not used.
        recorded_at: position at which a decision was recorded, by its journal position, where that is another.
    """
    moment = time.time() if now is None else now
    immature = excluded = 0
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
    episodes = []
    for (tenant, name), numbered in groups.items():
        numbered.sort(key=lambda pair: pair[1].step)
        rows = [record for _, record in numbered]
        last = rows[-1]
        if exclusions and _touches(numbered, exclusions, recorded_at):
            excluded += 1
        elif any(first.step == second.step for first, second in pairwise(rows)):
            duplicated += 1
        elif not (last.terminated or last.truncated or last.is_single or last.step + 1 >= specification.horizon):
            open_episodes += 1
            open_decisions += len(rows)
        elif problem := _broken(rows):
            broken, reason = broken + 1, reason or f"episode {name}: {problem}"
        else:
            times = [seconds for record in rows if math.isfinite(seconds := record.seconds)]
            start, end = (min(times), max(times)) if times else (math.nan, math.nan)
            if specification.maturation and end + specification.maturation > moment:
                immature, matures = immature + 1, min(matures, end + specification.maturation)
                continue
            episodes.append(LoggedEpisode(tenant, name, rows, start, end, max(number for number, _ in numbered)))
    episodes.sort(key=lambda item: (item.start if math.isfinite(item.start) else math.inf, item.tenant, item.name))
    return Gathered(
        episodes, total, shadow, open_episodes, open_decisions, duplicated, broken, reason, immature, matures, excluded
    )


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
