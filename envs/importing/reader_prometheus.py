"""Prometheus: decisions read from the history of a server, by range queries.

A decider (one for each combination of the labels in ``by``) decides at ``start`` and every ``interval`` from
then on. Its observation is what each expression says from samples *strictly before* that moment: they are
evaluated one millisecond earlier, Prometheus' own resolution. The action is the change of the level in ``action``
from then until just before the next decision. Outcomes are expressions evaluated ``outcome_after`` the decision; they
are rows of their own, because that moment may not have come yet: importing again adds them.

An expression without a value leaves its field out; one that has none for any decision is refused, as a misspelt name
has none. A level without a value before or after makes no decision: that is a gap, and ends an episode. A history says
nothing of chances: there are no propensities in it.

The source is an address, with the options of :class:`~envs.importing.prometheus_options.PrometheusOptions`, or a
TOML file that has them. Ids are made of the agent, of what is read and when, so reading again adds nothing, and two
agents may read the same. They once were made without the agent: whose log has such ones gets more of them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from envs.errors import DataError
from envs.importing.prometheus_client import PrometheusClient, Series
from envs.importing.prometheus_options import POINTS, TABLES, PrometheusOptions, prometheus_options
from envs.importing.readers import RowBatch
from envs.importing.row_building import numbers_in
from envs.importing.rows import SourceRow

CHUNK = 2000
"""Decisions of a decider between two questions to the server, about."""
JUST_BEFORE = 1


def open_reader(source: str, options: Mapping[str, Any]) -> PrometheusReader:
    """The reader of a server's history.

    Raises:
        DataError: an option is missing or wrong.
    """
    return PrometheusReader(source, prometheus_options(source, options))


class PrometheusReader:
    """Reads a server's history in chunks of time; the position is ``moment (ms):row:fields found so far`` (a bit each).

    Args:
        source: as the user named it.
        options: what to read.
        now: the clock, in seconds since the epoch; history is read up to what it says now.
    """

    def __init__(self, source: str, options: PrometheusOptions, now: Callable[[], float] = time.time) -> None:
        self.source = source
        self.preset: Mapping[str, Any] = {}
        self.options = options
        self._client = PrometheusClient(options, source)
        self._fields = [(table, name) for table in TABLES for name in getattr(options, table)]
        self._meaning = options.meaning()
        present = int(now() * 1000)
        self._end = min(options.end, present) if options.end else present
        self.size = max(0, (self._end - options.start) // options.interval)

    def read_for(self, agent: str, first_of: Callable[[Sequence[str]], str]) -> None:
        """Make ids that are the agent's own, unless its log has this history under the ids that were made before."""
        without, own = (f"prometheus-{self.options.meaning(name)}-" for name in ("", agent))
        self._meaning = self.options.meaning("" if first_of([without, own]) == without else agent)

    def identity(self) -> str:
        """Server and options; history is only ever added to."""
        return hashlib.sha256(repr(self.options).encode()).hexdigest()

    @property
    def nothing(self) -> tuple[str, str]:
        """What was not found: the level, without which there is no decision."""
        options = self.options
        between = f"{_text(options.start)} and {_text(self._end)}"
        problem = f"the action's expression {options.action[:120]!r} has no two values"
        problem += f" {options.interval / 1000:g} s apart between {between}, so there is no decision"
        return problem, "correct the expression action, or start and end"

    def batches(self, after: str = "") -> Iterator[RowBatch]:
        """The decisions behind a position, each chunk's followed by their outcomes.

        Raises:
            DataError: the server cannot be asked, or no decision has a value of some field.
        """
        options = self.options
        moment, number, found = numbers_in(after, 3, self.source)
        moment = moment or options.start
        end = self._end
        per_episode = max(1, options.episode // options.interval)
        chunk = min(POINTS - 1, max(1, CHUNK // per_episode) * per_episode)
        while moment + options.interval <= end:
            # Where an earlier import came to the end of history within an episode, that episode is read again.
            first = moment - (moment - options.start) % (per_episode * options.interval)
            count = min(chunk, (end - first) // options.interval)
            behind = last = first + count * options.interval
            if options.episode and last % options.episode and end != options.end:
                # Whether a gap cuts the episode behind its last decision is not known yet, and records never change.
                behind -= options.interval
            contents = self._chunk(first, count, end, moment, behind)
            rows = [SourceRow(self.source, number + place, content) for place, content in enumerate(contents, start=1)]
            number += len(rows)
            found |= self._found(contents, end)
            moment = last
            yield RowBatch(rows, f"{behind}:{number}:{found}", (moment - options.start) // options.interval)
        self._refuse_missing(found)

    def _found(self, rows: Sequence[Mapping[str, Any]], end: int) -> int:
        """The fields that rows have, a bit each, and behind them which of :data:`TABLES` they could have."""
        last = _text(end - self.options.outcome_after)
        found = 0
        for row in rows:
            found |= sum(1 << place for place, (table, name) in enumerate(self._fields) if name in row.get(table, ()))
            if "observation" in row:
                found |= (1 << len(self._fields)) + ((row["timestamp"] <= last) << (len(self._fields) + 1))
        return found

    def _refuse_missing(self, found: int) -> None:
        options, could = self.options, found >> len(self._fields)
        for place, (table, name) in enumerate(self._fields):
            if could >> TABLES.index(table) & 1 and not found >> place & 1:
                expression = getattr(options, table)[name]
                between = f"{_text(options.start)} and {_text(self._end)}"
                problem = f"{table}.{name}: the expression {expression[:120]!r} has no value for any decision"
                remedy = f"correct it, or take it out of [{table}]"
                raise DataError(f"{problem} between {between}", where=self.source, remedy=remedy)

    def _chunk(self, first: int, count: int, end: int, moment: int, behind: int) -> list[dict[str, Any]]:
        """The decisions of a chunk from a moment to before another, and their outcomes."""
        options = self.options
        before, last = first - JUST_BEFORE, first + count * options.interval - JUST_BEFORE
        level = self._client.values(options.action, before, last, options.interval)
        seen = {
            name: self._client.values(expression, before, last, options.interval)
            for name, expression in options.observation.items()
        }
        moments = [first + place * options.interval for place in range(count)]
        rows: list[dict[str, Any]] = []
        for decider in sorted(level):
            rows += self._decisions(decider, moments, level[decider], seen)
        rows = [row for row in rows if _text(moment) <= row["timestamp"] < _text(behind)]
        decided = {row["event_id"] for row in rows}
        rows += [row for row in self._outcomes(moments, sorted(level), end) if row["decision_id"] in decided]
        return rows

    def _decisions(
        self, decider: tuple[str, ...], moments: list[int], level: Mapping[int, float], seen: Mapping[str, Series]
    ) -> list[dict[str, Any]]:
        options = self.options
        rows: list[dict[str, Any]] = []
        episode, step = "", 0
        for moment in moments:
            following = moment + options.interval
            old, new = level.get(moment - JUST_BEFORE), level.get(following - JUST_BEFORE)
            begins = options.episode and moment % options.episode == 0
            if old is None or new is None:
                if episode and rows:  # the gap cuts it, and what came after its last decision is known
                    rows[-1]["truncated"] = True
                    rows[-1].update(_present("next_observation", _at(seen, decider, moment)))
                episode = ""
                continue
            row: dict[str, Any] = {
                "event_id": self._event(decider, moment),
                "timestamp": _text(moment),
                "observation": _at(seen, decider, moment),
                "action": _action(new - old, new, options.action_kind),
                "metadata": {"level": old, **dict(zip(options.by, decider, strict=False))},
            }
            if options.tenant:
                row["tenant"] = decider[options.by.index(options.tenant)] if decider else "default"
            if options.episode:
                if begins or not episode:
                    episode, step = f"{self._event(decider, moment)}-episode", 0
                row.update(episode_id=episode, step=step)
                step += 1
                if following % options.episode == 0:
                    row["truncated"] = True
                    row.update(_present("next_observation", _at(seen, decider, following)))
                    episode = ""
            rows.append(row)
        return rows

    def _outcomes(self, moments: list[int], deciders: list[tuple[str, ...]], end: int) -> Iterator[dict[str, Any]]:
        options = self.options
        after = options.outcome_after
        ripe = [moment for moment in moments if moment + after <= end]
        if not ripe or not options.outcome:
            return
        found = {
            name: self._client.values(expression, ripe[0] + after, ripe[-1] + after, options.interval)
            for name, expression in options.outcome.items()
        }
        for decider in deciders:
            for moment in ripe:
                outcome = _at(found, decider, moment + after + JUST_BEFORE)
                if outcome:
                    known = {"decision_id": self._event(decider, moment), "timestamp": _text(moment + after)}
                    yield {**known, "outcome": outcome}

    def _event(self, decider: tuple[str, ...], moment: int) -> str:
        name = hashlib.sha256("\0".join(decider).encode()).hexdigest()[:12]
        return f"prometheus-{self._meaning}-{name}-{moment}"


def _at(seen: Mapping[str, Series], decider: tuple[str, ...], moment: int) -> dict[str, float]:
    """The values just before a moment, by name; those that all deciders share among them."""
    found = {}
    for name, series in seen.items():
        own = series.get(decider)
        value = (series.get((), {}) if own is None else own).get(moment - JUST_BEFORE)
        if value is not None:
            found[name] = value
    return found


def _present(name: str, value: dict[str, float]) -> dict[str, Any]:
    return {name: value} if value else {}


def _action(delta: float, level: float, kind: str) -> Any:
    if kind == "direction":
        return "up" if delta > 0 else "down" if delta < 0 else "hold"
    value = delta if kind == "delta" else level
    return int(value) if value.is_integer() else {kind: value}


def _text(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
