"""Decision records as whole episodes: grouped, put in order, and checked to be complete."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from envs.errors import DataError
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
    """The closed episodes of a log in canonical order, and the count of what is not among them."""

    episodes: list[LoggedEpisode]
    records: int
    shadow: int
    open_episodes: int
    open_decisions: int
    duplicated_episodes: int


def gather_episodes(records: Iterable[tuple[int, DecisionRecord]], specification: AgentSpecification) -> Gathered:
    """The closed episodes among the records, by first timestamp, tenant and id.

    An episode is closed when it terminated or was truncated, when it has as many steps as the declared
    horizon, or when it is a decision without an episode. Any other is still open. An episode with two
    records for one step is left out: which of them happened cannot be told.

    Args:
        records: (journal position, record) in any order.
        specification: the agent's declaration.

    Raises:
        DataError: a closed episode lacks a step, or goes on after its end; names it.
    """
    groups: dict[tuple[str, str], list[tuple[int, DecisionRecord]]] = defaultdict(list)
    total = shadow = open_episodes = open_decisions = duplicated = 0
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
        if any(first.step == second.step for first, second in pairwise(rows)):
            duplicated += 1
        elif not (last.terminated or last.truncated or last.is_single or last.step + 1 >= specification.horizon):
            open_episodes += 1
            open_decisions += len(rows)
        else:
            _check_complete(tenant, name, rows)
            times = [seconds for record in rows if math.isfinite(seconds := record.seconds)]
            start, end = (min(times), max(times)) if times else (math.nan, math.nan)
            episodes.append(LoggedEpisode(tenant, name, rows, start, end, max(number for number, _ in numbered)))
    episodes.sort(key=lambda item: (item.start if math.isfinite(item.start) else math.inf, item.tenant, item.name))
    return Gathered(episodes, total, shadow, open_episodes, open_decisions, duplicated)


def _check_complete(tenant: str, name: str, rows: list[DecisionRecord]) -> None:
    where = f"agent {rows[0].agent}, episode {name}" + (f" of tenant {tenant}" if tenant != "default" else "")
    for expected, record in enumerate(rows):
        if record.step != expected:
            raise DataError(
                f"step {expected} is missing, the next is {record.step}",
                where=where,
                remedy="record the missing step, or exclude the episode",
            )
        if (record.terminated or record.truncated) and expected < len(rows) - 1:
            raise DataError(
                f"goes on after its end at step {expected}",
                where=where,
                remedy="give each run its own episode_id, or exclude the episode",
            )
