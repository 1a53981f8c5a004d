"""What the decisions of a log earned: rewards, catastrophes and guardrails, and who is left out without them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from envs.errors import DataError, RecordError
from envs.guardrail import measure_guardrails
from envs.log.arithmetic import ColumnExpression
from envs.log.grouping import GroupedLog
from envs.log.placing import placed
from envs.log.source import LogSource
from envs.record import DecisionRecord
from envs.scoring import ROUNDING, Scorer
from envs.specification import AgentSpecification

EARNED = ("reward", "outcome_form", "outcome_numbers", "outcome_texts", "content_hash")


@dataclass(slots=True, eq=False)
class Earned:
    """What N decisions earned, in canonical order.

    Attributes:
        rewards: float64 (N,).
        worst: bool (N,).
        guardrails: float64 (N, G).
        hashes: uint8 (N, 32), content hashes.
        recorded: rewards taken as recorded although an expression is declared.
        late_episodes: episodes that were left out of ``log`` because the outcome of a reward came too late.
        unscored_episodes: other episodes that were left out of ``log`` for lack of a reward.
        unscored_reason: what the first of them lacks, or empty.
        unmeasured: decisions whose outcome does not tell a guardrail.
        unmeasured_reason: what the first of them lacks, or empty.
    """

    rewards: np.ndarray
    worst: np.ndarray
    guardrails: np.ndarray
    hashes: np.ndarray
    recorded: int = 0
    late_episodes: int = 0
    unscored_episodes: int = 0
    unscored_reason: str = ""
    unmeasured: int = 0
    unmeasured_reason: str = ""

    def take_hashes(self) -> np.ndarray:
        """The content hashes, which are needed once."""
        hashes, self.hashes = self.hashes, np.empty((0, 32), dtype=np.uint8)
        return hashes


def earn(source: LogSource, log: GroupedLog, specification: AgentSpecification) -> Earned:
    """Score the decisions of the whole episodes; those with a decision that cannot be scored leave ``log``.

    Raises:
        DataError: a reward is outside the declared range.
    """
    begin = np.cumsum(log.lengths) - log.lengths
    count, guards = int(log.lengths.sum()), specification.guardrails
    earned = Earned(
        np.empty(count), np.zeros(count, dtype=bool), np.full((count, len(guards)), np.nan),
        np.empty((count, 32), dtype=np.uint8),
    )  # fmt: skip
    scored, recorded = np.ones(count, dtype=bool), np.zeros(count, dtype=bool)
    reward = ColumnExpression.of(specification.reward) if specification.reward else None
    worst = ColumnExpression.of(specification.worst_class) if specification.worst_class else None
    measures = [ColumnExpression.of(guard.outcome) for guard in guards]
    for rows, batch in used(source, log, EARNED):
        places = begin[log.episode[rows]] + log.step[rows]
        earned.hashes[places] = _hashes(batch["content_hash"])
        values, valid, kept = _rewards(batch, reward)
        if worst is not None:
            classes, told = worst.evaluate(batch)
            valid &= told
            earned.worst[places] = told & (classes != 0.0)
        earned.rewards[places], scored[places], recorded[places] = values, valid, kept
        for column, (guard, measure) in enumerate(zip(guards, measures, strict=True)):
            measured, told = measure.evaluate(batch)
            earned.guardrails[places, column] = np.where(
                told, measured, np.nan if guard.missing is None else guard.missing
            )
    _refuse_out_of_range(source, log, specification, earned.rewards, scored, begin)
    if not scored.all():
        owner = np.repeat(np.arange(len(log.lengths)), log.lengths)
        unscored = np.zeros(len(log.lengths), dtype=bool)
        unscored[owner[~scored]] = True
        # One by one, an episode is scored up to the decision that has no reward.
        stop = np.full(len(unscored), np.iinfo(np.int64).max)
        step = np.arange(count) - np.repeat(begin, log.lengths)
        np.minimum.at(stop, owner[~scored], step[~scored])
        late = _came_late(source, log, stop)
        earned.late_episodes = int(late.sum())
        earned.unscored_episodes = int(unscored.sum()) - earned.late_episodes
        lacking = np.flatnonzero(~scored & ~late[owner])
        if len(lacking):
            earned.unscored_reason = _unscored_reason(source, log, specification, int(lacking[0]), begin)
        earned.recorded = int((recorded & unscored[owner] & (step <= stop[owner])).sum())
        kept_rows = ~unscored[owner]
        for name in ("rewards", "worst", "guardrails", "hashes"):
            setattr(earned, name, getattr(earned, name)[kept_rows])
        recorded = recorded[kept_rows]
        log.keep(~unscored)
    earned.recorded += int(recorded.sum())
    lacking = np.isnan(earned.guardrails).any(axis=1)
    if lacking.any():
        begin = np.cumsum(log.lengths) - log.lengths
        record = _record_at(source, log, specification, int(np.flatnonzero(lacking)[0]), begin)
        earned.unmeasured = int(lacking.sum())
        earned.unmeasured_reason = measure_guardrails(guards, [record]).reason
    return earned


def used(source: LogSource, log: GroupedLog, columns: tuple[str, ...]) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
    """Batches of the rows that belong to an episode of the log, and their places among the scanned rows."""
    begin = 0
    for batch in source.batches(columns):
        rows = np.arange(begin, begin + batch.num_rows)
        begin += batch.num_rows
        chosen = log.episode[rows] >= 0
        if not chosen.all():
            rows, batch = rows[chosen], batch.filter(pa.array(chosen))
        if len(rows):
            yield rows, batch


def _rewards(batch: pa.RecordBatch, reward: ColumnExpression | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rewards, whether there is one, and whether it is the recorded one although an expression is declared."""
    given = batch["reward"].is_valid().to_numpy(zero_copy_only=False)
    recorded = np.asarray(batch["reward"].to_numpy(zero_copy_only=False), dtype=np.float64)
    if reward is None:
        return recorded, given.copy(), np.zeros(len(given), dtype=bool)
    values, valid = reward.evaluate(batch)
    kept = given & batch["outcome_form"].is_null().to_numpy(zero_copy_only=False)
    return np.where(kept, recorded, values), valid | kept, kept


def _hashes(column: pa.Array) -> np.ndarray:
    return np.frombuffer(b"".join(column.to_pylist()), dtype=np.uint8).reshape(len(column), 32)


def _refuse_out_of_range(
    source: LogSource,
    log: GroupedLog,
    specification: AgentSpecification,
    rewards: np.ndarray,
    scored: np.ndarray,
    begin: np.ndarray,
) -> None:
    bounds = specification.reward_range
    if bounds is None or "reward_range" in specification.inferred:
        return
    slack = ROUNDING * max(abs(bounds[0]), abs(bounds[1]))
    outside = scored & ~((rewards >= bounds[0] - slack) & (rewards <= bounds[1] + slack))
    if outside.any():
        place = int(np.flatnonzero(outside)[0])
        record = _record_at(source, log, specification, place, begin)
        try:
            Scorer(specification).score(record)
        except DataError as error:
            raise placed(error, _sequence_at(log, place, begin), record) from None
        raise AssertionError(f"the reward of {record.event_id} is outside its range")


def _came_late(source: LogSource, log: GroupedLog, stop: np.ndarray) -> np.ndarray:
    """Which episodes have at the step ``stop``, int64 (E,), a decision of which an outcome came too late, bool (E,)."""
    rows = np.flatnonzero(np.isin(log.sequence, list(source.late_at)) & (log.episode >= 0))
    late = np.zeros(len(stop), dtype=bool)
    late[log.episode[rows[log.step[rows] == stop[log.episode[rows]]]]] = True
    return late


def _unscored_reason(
    source: LogSource, log: GroupedLog, specification: AgentSpecification, place: int, begin: np.ndarray
) -> str:
    try:
        Scorer(specification).score(_record_at(source, log, specification, place, begin))
    except RecordError as error:
        return str(error)
    return ""


def _record_at(
    source: LogSource, log: GroupedLog, specification: AgentSpecification, place: int, begin: np.ndarray
) -> DecisionRecord:
    """The decision at a place in canonical order."""
    return source.record(_sequence_at(log, place, begin), specification.maturation)


def _sequence_at(log: GroupedLog, place: int, begin: np.ndarray) -> int:
    episode = int(np.searchsorted(begin, place, side="right")) - 1
    row = np.flatnonzero((log.episode == episode) & (log.step == place - begin[episode]))[0]
    return int(log.sequence[row])
