"""The live end of the loop: every decision of an agent recorded durably, and agents retrained on schedule."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ai_engine.continuous_learning.actions import action_fields, outcome_of
from ai_engine.continuous_learning.declarations import NOTICED, Declarations
from ai_engine.continuous_learning.retraining import RetrainingProcess
from ai_engine.continuous_learning.retraining_status import RetrainingStatus
from ai_engine.continuous_learning.schedule import RetrainSchedule
from ai_engine.continuous_learning.sealing import BackgroundSealing
from ai_engine.continuous_learning.writer import INTERVAL, TIMEOUT, JournalWriter
from envs.errors import RecordError, SpecificationError
from envs.home import Home
from envs.journal.journal import AppendResult
from envs.misspelling import ARGUMENTS, refuse_misspelt
from envs.outcome import OutcomeEvent
from envs.record import KNOWN_NAMES, DecisionRecord, unknown_fields
from envs.values import UnfitValueError

DURABILITIES = ("full", "buffered")


class LearningPipeline:
    """Records decisions in a home's journal. Safe for threads, processes and forks.

    With ``auto_retrain`` it also retrains the home's agents on schedule, from :meth:`start` to :meth:`stop`,
    in a process of its own, where :class:`~ai_engine.retrain.ModelRetrainer` moves a champion only through
    the gate. Of several pipelines on a home, one retrains and the others stand by.

    The journal is opened by :meth:`start` or by the first record, and closed by :meth:`stop`, by the
    end of a ``with`` block, or at the end of the program. Records of a declared agent are checked
    against its declaration; an undeclared agent's are taken as they are.

    Args:
        home: the home; without one the home in force, and the current folder's is created where there is none.
        durability: ``full``: what was recorded survives a power loss, at the cost of one disk flush a
            call. ``buffered``: written within ``flush_interval`` by a thread, durable after :meth:`flush`;
            a crash loses what was recorded since the last of these flushes. A declaration that changes is
            in force within .1 seconds.
        auto_retrain: whether it retrains: ``True`` for every agent once a day, or a schedule.
        flush_interval: seconds for which a buffered record may wait.
        timeout: seconds to wait for other writers of the journal before an error says that it is locked.

    Attributes:
        auto_retrain: the schedule of retraining, ``None`` where it only records.
        unlearned: how often each field that is not of the decision record was kept in metadata.

    Raises:
        HomeError: the home named is none.
        SpecificationError: ``auto_retrain`` is neither.
    """

    def __init__(
        self,
        home: Home | str | Path | None = None,
        *,
        durability: str = "full",
        auto_retrain: bool | RetrainSchedule = False,
        flush_interval: float = INTERVAL,
        timeout: float = TIMEOUT,
    ) -> None:
        if durability not in DURABILITIES:
            raise ValueError(f"durability must be one of {DURABILITIES}, not {durability!r}")
        self.home = Home.find(home, create=home is None)
        self.durability = durability
        self.unlearned: Counter[str] = Counter()
        self._writer = JournalWriter(
            self.home.journal_path,
            buffered=durability == "buffered",
            interval=flush_interval,
            timeout=timeout,
            written=BackgroundSealing(self.home).notice,
        )
        # What waits was recorded under the declarations that were in force.
        every = NOTICED if self._writer.buffered else 0.0
        self._declarations = Declarations(self.home, every=every, changed=self._writer.settle)
        self.auto_retrain = _wanted(auto_retrain)
        self._retraining = RetrainingProcess(self.home)
        # At the end of the program the last comes first: records do not wait for a sweep to end.
        self._finalizers = (
            weakref.finalize(self, self._retraining.stop),
            weakref.finalize(self, self._writer.finish),
        )

    def start(self, *, auto_retrain: bool | RetrainSchedule | None = None) -> LearningPipeline:
        """Open the journal now, so that what is wrong with it shows here, and start to retrain if that is wanted.

        Args:
            auto_retrain: from now on in place of the constructor's.

        Raises:
            JournalError: the journal cannot be opened.
            MissingExtraError: a library that retraining needs is not installed.
            RetrainingError: the process that retrains does not start.
        """
        if auto_retrain is not None:
            self.auto_retrain = _wanted(auto_retrain)
        self._writer.journal.open()
        if self.auto_retrain is None:
            self._retraining.stop()
        else:
            self._retraining.start(self.auto_retrain)
        return self

    def stop(self) -> None:
        """Write what waits, close the journal and end retraining. Recording again opens the journal again.

        A sweep under way is interrupted, which takes seconds; the next pass goes on from it.

        Raises:
            RetrainerError: a buffered record was refused, or cannot be written.
        """
        try:
            self._writer.close()
        finally:
            self._retraining.stop()

    def retraining_status(self) -> RetrainingStatus:
        """What scheduled retraining last did on this home, in any process, and whether it goes on.

        Raises:
            DataError: the file that says so is damaged.
        """
        return self._retraining.status()

    def flush(self) -> None:
        """Return when all that was recorded is durable.

        Raises:
            RetrainerError: a buffered record was refused, or cannot be written (it is kept and tried again).
        """
        self._writer.flush()

    def __enter__(self) -> LearningPipeline:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def record_action(
        self,
        agent_name: str,
        action_type: Any,
        input_data: Any,
        output_data: Any = None,
        success: bool | None = None,
        execution_time: float | None = None,
        confidence: float | None = None,
        explanation: str | None = None,
        **fields: Any,
    ) -> DecisionRecord:
        """Record one decision and what came of it.

        Args:
            agent_name: the agent.
            action_type: the action that was requested.
            input_data: the observation: what was known before acting.
            output_data: kept as ``outcome.output``.
            success: kept as ``outcome.success``. It does not end an episode.
            execution_time: seconds, kept as ``outcome.execution_time``.
            confidence: kept in metadata. It is not a propensity: give that as ``propensity=``.
            explanation: kept in metadata.
            **fields: fields of :class:`~envs.record.DecisionRecord` (``propensity``, ``reward``,
                ``episode_id`` with ``step``, ``terminated``, ``outcome``, ...); others go to metadata. One that
                nearly is a field (``rewrad``) is refused.

        Returns:
            The record. Without an ``event_id`` it got a new one and, if it had none, the present time as
            its timestamp; with one, the same call again is the same record, so nothing is added to it.

        Raises:
            RecordError: a field breaks the record contract or the declaration; nothing was written.
        """
        self._declarations.look()
        given = (agent_name, action_type, input_data, output_data, success, execution_time, confidence, explanation)
        record = self._from_action(given, fields, f"agent {agent_name}")
        self._writer.write(record)
        return record

    def record_outcome(
        self,
        agent_name: str,
        event_id: str,
        output_data: Any = None,
        success: bool | None = None,
        execution_time: float | None = None,
        **fields: Any,
    ) -> OutcomeEvent:
        """Record what became known of a decision after it was recorded. It adds; it does not correct.

        The decision may be recorded before or after. Where the agent declares a ``maturation`` window,
        outcomes that become known later than that after the decision are kept, and used by no dataset.

        Args:
            agent_name: the decision's agent.
            event_id: the decision's.
            output_data: kept as ``outcome.output``.
            success: kept as ``outcome.success``. It does not end an episode.
            execution_time: seconds, kept as ``outcome.execution_time``.
            **fields: fields of :class:`~envs.outcome.OutcomeEvent` (``outcome``, ``reward``,
                ``next_observation``, ``terminated``, ``truncated``, ``executed_action``, ``timestamp``).

        Raises:
            RecordError: a field breaks the contract or the declaration, or contradicts what was recorded;
                nothing was written.
        """
        where = f"agent {agent_name}"
        outcome = outcome_of(output_data, success, execution_time, fields.pop("outcome", None), where)
        mapping = {"agent": agent_name, "decision_id": event_id, "outcome": outcome, **fields}
        event = OutcomeEvent.from_mapping(mapping, where=where)
        self._declarations.look()
        if (validator := self._declarations.validator(agent_name)) is not None:
            validator.conform_outcome(event)
        self._writer.write(event)
        return event

    def record(self, record: DecisionRecord) -> None:
        """Record one decision.

        Raises:
            RecordError: it does not fit its agent's declaration, or contradicts what was recorded.
        """
        self._declarations.look()
        self._writer.write(self._conform(record))

    def record_many(self, records: Iterable[DecisionRecord | Mapping[str, Any]]) -> AppendResult:
        """Record decisions in one transaction, all or none; durable when it returns, buffered or not.

        Args:
            records: records, mappings of their fields, or mappings of :meth:`record_action`'s arguments; mappings
                without a ``mode`` are ``live``, as there.

        Returns:
            How many were new, and how many had been recorded before.

        Raises:
            RecordError: one of them is wrong; names its position. Nothing was written.
        """
        self._declarations.look()  # once for all: each look is a call to the system
        return self._writer.write_many([self._any(item, position) for position, item in enumerate(records)])

    def _any(self, item: DecisionRecord | Mapping[str, Any], position: int) -> DecisionRecord:
        where = f"record {position}"
        if isinstance(item, DecisionRecord):
            return self._conform(item, where)
        if not isinstance(item, Mapping):
            problem = f"a {type(item).__name__} is no record"
            raise RecordError(problem, field="record", where=where, remedy="give mappings or DecisionRecords")
        if "agent_name" in item:
            missing = [name for name in ("action_type", "input_data") if name not in item]
            if missing:
                raise RecordError("is missing", field=missing[0], where=where, remedy="give it, as to record_action")
            fields = {name: value for name, value in item.items() if name not in ARGUMENTS}
            return self._from_action(tuple(map(item.get, ARGUMENTS)), fields, where)
        return self._checked({"mode": "live", **item}, item, where)

    def _from_action(self, given: tuple[Any, ...], fields: dict[str, Any], where: str) -> DecisionRecord:
        """A record of :data:`ARGUMENTS` and fields by their own names."""
        agent, action, observation, output, success, execution_time, confidence, explanation = given
        outcome = outcome_of(output, success, execution_time, fields.pop("outcome", None), where)
        mapping = action_fields(agent, action, observation, outcome, confidence, explanation, fields, where)
        return self._checked(mapping, fields, where)

    def _checked(self, mapping: Mapping[str, Any], named: Mapping[str, Any], where: str) -> DecisionRecord:
        """A record of ``mapping``, of which the part ``named`` may have names that are not of a record."""
        foreign = [] if KNOWN_NAMES.issuperset(named) else _foreign(named, where)
        record = DecisionRecord.from_mapping(mapping, unknown="metadata", where=where)
        if foreign:
            self.unlearned.update(foreign)
        return self._conform(record, where)

    def _conform(self, record: DecisionRecord, where: str = "") -> DecisionRecord:
        validator = self._declarations.validator(record.agent)
        return record if validator is None else validator.conform(record, where=where or f"agent {record.agent}")


def _foreign(named: Mapping[str, Any], where: str) -> list[str]:
    foreign = unknown_fields(named)
    try:
        refuse_misspelt(foreign)
    except UnfitValueError as problem:
        raise RecordError(problem.problem, field=problem.path, where=where, remedy=problem.remedy) from None
    return foreign


def _wanted(auto_retrain: bool | RetrainSchedule) -> RetrainSchedule | None:
    if isinstance(auto_retrain, bool):
        return RetrainSchedule() if auto_retrain else None
    if not isinstance(auto_retrain, RetrainSchedule):
        remedy = "give True, False or a RetrainSchedule"
        raise SpecificationError(f"auto_retrain is {auto_retrain!r}", where="LearningPipeline", remedy=remedy)
    return auto_retrain
