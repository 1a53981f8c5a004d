"""Which episodes of a log are whole: the rules of :func:`envs.episodes.gather_episodes`, over columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from envs.clock import mistimed
from envs.episodes import silent_for_long, timed
from envs.journal.arrivals import Arrivals
from envs.log.exclusions import Exclusion, covered
from envs.log.source import LogSource
from envs.specification import AgentSpecification

NUMBERS = ("episode_key", "step", "sequence", "position")
FLAGS = ("terminated", "truncated", "single")
SCANNED = (*NUMBERS, *FLAGS, "timestamp", "side", "tenant", "episode_id")


@dataclass(slots=True, eq=False)
class GroupedLog:
    """The used rows of a log, in the order in which its source gives them, and their episodes.

    Attributes:
        episode: int32 (R,), the episode of each row: its place in canonical order, -1 where that is left out.
        step: int64 (R,).
        sequence: int64 (R,).
        seconds: float64 (R,), timestamps, NaN where absent.
        ended: bool (R,), terminated.
        cut: bool (R,), truncated.
        single: bool (R,), an episode of its own.
        lengths: int64 (E,), decisions of each episode that is whole.
        starts: float64 (E,), first timestamps.
        ends: float64 (E,), last timestamps.
        positions: int64 (E,), position from which on the episode is complete.
        sides: int8 (E,), the side of (tenant, episode).
        tenants: text (E,).
        names: text (E,), the episodes' ids.
        open_episodes: as of :class:`~envs.episodes.Gathered`, and so on.
    """

    episode: np.ndarray
    step: np.ndarray
    sequence: np.ndarray
    seconds: np.ndarray
    ended: np.ndarray
    cut: np.ndarray
    single: np.ndarray
    lengths: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    positions: np.ndarray
    sides: np.ndarray
    tenants: pa.Array
    names: pa.Array
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

    def keep(self, chosen: np.ndarray) -> None:
        """Leave the episodes out that are not chosen, bool (E,)."""
        rank = np.where(chosen, np.cumsum(chosen) - 1, -1).astype(np.int32)
        inside = self.episode >= 0
        self.episode[inside] = rank[self.episode[inside]]
        for name in ("lengths", "starts", "ends", "positions", "sides"):
            setattr(self, name, getattr(self, name)[chosen])
        self.tenants, self.names = (column.filter(pa.array(chosen)) for column in (self.tenants, self.names))

    def release(self) -> None:
        """Give up what only the ends of episodes need."""
        self.seconds = np.empty(0)
        self.ended = self.cut = self.single = np.empty(0, dtype=bool)


@dataclass(slots=True, eq=False)
class _Scan:
    """What the first pass reads of R rows; of tenants and episodes only the texts at step 0."""

    key: np.ndarray
    step: np.ndarray
    sequence: np.ndarray
    position: np.ndarray
    seconds: np.ndarray
    ended: np.ndarray
    cut: np.ndarray
    single: np.ndarray
    head_rows: np.ndarray
    tenants: pa.Array
    names: pa.Array
    sides: np.ndarray


def group(
    source: LogSource,
    specification: AgentSpecification,
    now: float,
    exclusions: Sequence[Exclusion],
    arrivals: Arrivals,
) -> GroupedLog:
    """Read what says which row belongs where, and which episodes are whole.

    Args:
        source: the log.
        specification: the agent's declaration.
        now: seconds since the epoch, by which outcomes must have matured.
        exclusions: ranges of the log that are not used.
        arrivals: by when what was recorded had arrived.
    """
    scan = _scan(source)
    coded = pa.array(scan.key).dictionary_encode()
    code, count = coded.indices.to_numpy(), len(coded.dictionary)
    sizes = np.bincount(code, minlength=count)
    last_step = _extreme(np.maximum, scan.step, code, count, -1)
    known = np.isfinite(scan.seconds)
    starts = _extreme(np.fmin, scan.seconds, code, count, np.nan)
    ends = _extreme(np.fmax, scan.seconds, code, count, np.nan)
    duplicated, lacking = _gaps(code, scan.step, sizes, last_step)
    is_last, flagged = scan.step == last_step[code], scan.ended | scan.cut
    closed = last_step + 1 >= specification.horizon
    closed[code[flagged | (is_last & scan.single)]] = True
    early, excluded, immature = (np.zeros(count, dtype=bool) for _ in range(3))
    early[code[flagged & ~is_last]] = True
    if exclusions:
        excluded[code[covered(exclusions, scan.position, scan.seconds, scan.sequence)]] = True
    duplicated &= ~excluded
    used = ~(excluded | duplicated)
    odd = mistimed(scan.seconds, now)
    latest = np.max(scan.seconds, where=known & ~odd, initial=-np.inf)
    spans, ended = np.stack([starts, ends]), closed & used
    silent = silent_for_long(specification, ended, spans, latest, now)
    if not known.all():
        arrived = arrivals.at(scan.sequence)
        newest = np.max(arrived, where=~known & np.isfinite(arrived), initial=latest)
        spans[0] = _extreme(np.minimum, arrived, code, count, np.inf)  # unknown where one of the rows is
        spans[1] = _extreme(np.maximum, arrived, code, count, -np.inf)
        spans[:, np.isfinite(ends)] = np.nan
        silent |= silent_for_long(specification, ended, spans, newest, now)
    odd = np.flatnonzero(odd & ~excluded[code])
    abandoned = used & ~closed & silent
    still_open = used & ~(closed | abandoned)
    broken = (lacking | early) & used & ~still_open
    left_out = excluded | duplicated | still_open | broken
    if specification.maturation:
        immature = ~left_out & (ends + specification.maturation > now)
    whole = np.flatnonzero(~(left_out | immature))
    head = np.full(count, -1, dtype=np.int64)
    head[code[scan.head_rows]] = np.arange(len(scan.head_rows))
    order = whole[_canonical_order(starts[whole], scan, head[whole])]
    rank = np.full(count, -1, dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    heads = pa.array(head[order])
    matures = ends[immature] + specification.maturation
    return GroupedLog(
        episode=rank[code],
        step=scan.step,
        sequence=scan.sequence,
        seconds=scan.seconds,
        ended=scan.ended,
        cut=scan.cut,
        single=scan.single,
        lengths=sizes[order].astype(np.int64),
        starts=starts[order],
        ends=ends[order],
        positions=_extreme(np.maximum, scan.position, code, count, 0)[order],
        sides=scan.sides[head[order]],
        tenants=scan.tenants.take(heads),
        names=scan.names.take(heads),
        open_episodes=int(still_open.sum()),
        open_decisions=int(sizes[still_open].sum()),
        abandoned_episodes=int(abandoned[order].sum()),
        duplicated_episodes=int(duplicated.sum()),
        broken_episodes=int(broken.sum()),
        broken_reason=_reason(source, scan, code, broken) if broken.any() else "",
        immature_episodes=int(immature.sum()),
        matures=float(matures.min()) if len(matures) else 0.0,
        excluded_episodes=int(excluded.sum()),
        mistimed=len(odd),
        mistimed_first=_first(source, scan.sequence[odd]),
    )


def _scan(source: LogSource) -> _Scan:
    parts: dict[str, list[np.ndarray]] = {name: [] for name in (*NUMBERS, *FLAGS, "seconds", "heads", "sides")}
    tenants: list[pa.Array] = []
    names: list[pa.Array] = []
    rows = 0
    for batch in source.scan(SCANNED):
        for name in NUMBERS:
            parts[name].append(batch[name].to_numpy(zero_copy_only=False))
        for name in FLAGS:
            parts[name].append(batch[name].to_numpy(zero_copy_only=False).astype(bool))
        parts["seconds"].append(seconds_of(batch["timestamp"]))
        heads = np.flatnonzero(parts["step"][-1] == 0)
        parts["heads"].append(heads + rows)
        parts["sides"].append(batch["side"].take(pa.array(heads)).to_numpy(zero_copy_only=False))
        tenants.append(batch["tenant"].take(pa.array(heads)))
        names.append(batch["episode_id"].take(pa.array(heads)))
        rows += batch.num_rows
    arrays: dict[str, np.ndarray] = {}
    for name in list(parts):
        pieces = parts.pop(name)
        arrays[name] = np.concatenate(pieces) if pieces else np.empty(0)
    return _Scan(
        key=arrays["episode_key"].astype(np.int64, copy=False),
        step=arrays["step"].astype(np.int64, copy=False),
        sequence=arrays["sequence"].astype(np.int64, copy=False),
        position=arrays["position"].astype(np.int64, copy=False),
        seconds=arrays["seconds"],
        ended=arrays["terminated"].astype(bool, copy=False),
        cut=arrays["truncated"].astype(bool, copy=False),
        single=arrays["single"].astype(bool, copy=False),
        head_rows=arrays["heads"].astype(np.int64, copy=False),
        tenants=pa.chunked_array(tenants, pa.string()),
        names=pa.chunked_array(names, pa.string()),
        sides=arrays["sides"].astype(np.int8, copy=False),
    )


def seconds_of(timestamps: pa.Array) -> np.ndarray:
    """Timestamps in seconds since the epoch, float64; NaN where absent."""
    stamps = timestamps.cast(pa.timestamp("us", "UTC")).view(pa.int64())
    seconds = np.asarray(stamps.fill_null(0).to_numpy(zero_copy_only=False)) / 1e6
    if stamps.null_count:
        seconds[stamps.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return seconds


def _extreme(function: np.ufunc, values: np.ndarray, code: np.ndarray, count: int, start: float) -> np.ndarray:
    """The largest or smallest value of each episode."""
    out = np.full(count, start, dtype=values.dtype)
    function.at(out, code, values)
    return out


def _gaps(
    code: np.ndarray, step: np.ndarray, sizes: np.ndarray, last_step: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which episodes have two rows for a step, and which (of the others) lack one, bool (count,) each."""
    regular = sizes == last_step + 1
    places = np.where(regular, sizes, 0)
    begin = np.cumsum(places) - places
    filled = np.zeros(int(places.sum()), dtype=bool)
    chosen = regular[code]
    filled[(begin[code] + step)[chosen]] = True
    duplicated = np.zeros(len(sizes), dtype=bool)
    if not filled.all():  # as many rows as steps, one of them missing: another is there twice
        duplicated[np.repeat(np.arange(len(sizes)), places)[~filled]] = True
    if not regular.all():
        pairs = np.stack([code[~chosen].astype(np.int64), step[~chosen]])
        unique, counts = np.unique(pairs, axis=1, return_counts=True)
        duplicated[unique[0][counts > 1]] = True
    return duplicated, ~regular & ~duplicated


def _canonical_order(starts: np.ndarray, scan: _Scan, heads: np.ndarray) -> np.ndarray:
    """Order of episodes by first timestamp (those without last), tenant and id."""
    times = np.where(np.isfinite(starts), starts, np.inf)
    order = np.argsort(times, kind="stable")
    sorted_times = times[order]
    if (sorted_times[1:] == sorted_times[:-1]).any():
        places = pa.array(heads)
        columns = {"time": pa.array(times), "tenant": scan.tenants.take(places), "name": scan.names.take(places)}
        keys = [(name, "ascending") for name in columns]
        return np.asarray(pc.sort_indices(pa.table(columns), sort_keys=keys).to_numpy())
    return order


def _first(source: LogSource, sequences: np.ndarray) -> str:
    return timed(first := int(sequences.min()), source.record(first, 0.0)) if len(sequences) else ""


def _reason(source: LogSource, scan: _Scan, code: np.ndarray, broken: np.ndarray) -> str:
    """What is wrong with the broken episode whose first record came first."""
    rows = np.flatnonzero(broken[code])
    first = rows[np.argmin(scan.sequence[rows])]
    own = np.flatnonzero(code == code[first])
    own = own[np.argsort(scan.step[own])]
    name = source.record(int(scan.sequence[first]), 0.0).episode_id
    for expected, row in enumerate(own):
        if scan.step[row] != expected:
            return f"episode {name}: step {expected} is missing, the next is {scan.step[row]}"
        if (scan.ended[row] or scan.cut[row]) and expected < len(own) - 1:
            return f"episode {name}: goes on after its end at step {expected}"
    return ""
