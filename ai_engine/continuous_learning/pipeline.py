"""The live end of the loop: every decision of an agent recorded durably, and agents retrained on schedule."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ai_engine.continuous_learning.retraining import RetrainingProcess
from ai_engine.continuous_learning.retraining_status import RetrainingStatus
from ai_engine.continuous_learning.schedule import RetrainSchedule
from ai_engine.continuous_learning.writer import JournalWriter
from envs.errors import HomeError, RecordError, SpecificationError
from envs.home import Home
from envs.journal import AppendResult
from envs.record import KNOWN_NAMES, DecisionRecord
from envs.validation import Validator

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
            call. ``buffered``: written within 0.2 s by a thread, durable after :meth:`flush`.
        auto_retrain: whether it retrains: ``True`` for every agent once a day, or a schedule.

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
    ) -> None:
        if durability not in DURABILITIES:
            raise ValueError(f"durability must be one of {DURABILITIES}, not {durability!r}")
        self.home = Home.find(home, create=home is None)
        self.durability = durability
        self.unlearned: Counter[str] = Counter()
        self._writer = JournalWriter(self.home.journal_path, buffered=durability == "buffered")
        self._validators: dict[str, Validator | None] = {}
        self._configuration: tuple[int, int] | None = None
        self.auto_retrain = _wanted(auto_retrain)
        self._retraining = RetrainingProcess(self.home)
        # At the end of the program the last comes first: records do not wait for a sweep to end.
        self._finalizers = (
            weakref.finalize(self, self._retraining.stop),
            weakref.finalize(self, self._writer.close),
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
                ``episode_id`` with ``step``, ``terminated``, ``outcome``, ...); others go to metadata.

        Returns:
            The record. Without an ``event_id`` it got a new one and, if it had none, the present time as
            its timestamp; with one, the same call again is the same record, so nothing is added to it.

        Raises:
            RecordError: a field breaks the record contract or the declaration; nothing was written.
        """
        record = self._from_action(
            agent_name,
            action_type,
            input_data,
            output_data,
            success=success,
            execution_time=execution_time,
            confidence=confidence,
            explanation=explanation,
            **fields,
        )
        self._writer.write(record)
        return record

    def record(self, record: DecisionRecord) -> None:
        """Record one decision.

        Raises:
            RecordError: it does not fit its agent's declaration, or contradicts what was recorded.
        """
        self._writer.write(self._conform(record))

    def record_many(self, records: Iterable[DecisionRecord | Mapping[str, Any]]) -> AppendResult:
        """Record decisions in one transaction, all or none; durable when it returns, buffered or not.

        Args:
            records: records, mappings of their fields, or mappings of :meth:`record_action`'s arguments.

        Returns:
            How many were new, and how many had been recorded before.

        Raises:
            RecordError: one of them is wrong; names its position. Nothing was written.
        """
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
            return self._from_action(**item, where=where)
        return self._checked(item, where)

    def _from_action(
        self,
        agent_name: str,
        action_type: Any,
        input_data: Any,
        output_data: Any = None,
        *,
        success: bool | None = None,
        execution_time: float | None = None,
        confidence: float | None = None,
        explanation: str | None = None,
        where: str = "",
        **fields: Any,
    ) -> DecisionRecord:
        where = where or f"agent {agent_name}"
        twice = [name for name in ("agent", "action", "observation") if name in fields]
        if twice:
            raise RecordError("is given twice", field=twice[0], where=where, remedy="give it once")
        given = {"success": success, "execution_time": execution_time, "output": output_data}
        outcome = {name: value for name, value in given.items() if value is not None}
        notes = {"confidence": confidence, "explanation": explanation}
        metadata = {name: value for name, value in notes.items() if value is not None}
        for name, own in (("outcome", outcome), ("metadata", metadata)):
            further = fields.pop(name, None)
            if further is not None and not isinstance(further, Mapping):
                raise RecordError(f"{further!r} is not an object", field=name, where=where, remedy="give named values")
            own.update(further or {})
        mapping = {
            "agent": agent_name,
            "action": action_type,
            "observation": input_data,
            "outcome": outcome or None,
            "metadata": metadata or None,
            "mode": "live",
            **fields,
        }
        if mapping.get("event_id") is None and mapping.get("timestamp") is None:
            mapping["timestamp"] = datetime.now(UTC)
        return self._checked(mapping, where)

    def _checked(self, mapping: Mapping[str, Any], where: str) -> DecisionRecord:
        record = DecisionRecord.from_mapping(mapping, unknown="metadata", where=where)
        self.unlearned.update(mapping.keys() - KNOWN_NAMES)
        return self._conform(record, where)

    def _conform(self, record: DecisionRecord, where: str = "") -> DecisionRecord:
        validator = self._validator(record.agent)
        return record if validator is None else validator.conform(record, where=where or f"agent {record.agent}")

    def _validator(self, agent: str) -> Validator | None:
        """The agent's validator, or ``None`` where it is undeclared; read again when the file has changed."""
        try:
            state = self.home.configuration_path.stat()
        except OSError as error:
            where = str(self.home.configuration_path)
            raise HomeError("is gone", where=where, remedy="restore it, or name another home") from error
        if (state.st_mtime_ns, state.st_size) != self._configuration:
            self._validators.clear()
            self._configuration = (state.st_mtime_ns, state.st_size)
        if agent not in self._validators:
            declared = agent in self.home.agents()
            self._validators[agent] = Validator(self.home.specification(agent)) if declared else None
        return self._validators[agent]


def _wanted(auto_retrain: bool | RetrainSchedule) -> RetrainSchedule | None:
    if isinstance(auto_retrain, bool):
        return RetrainSchedule() if auto_retrain else None
    if not isinstance(auto_retrain, RetrainSchedule):
        remedy = "give True, False or a RetrainSchedule"
        raise SpecificationError(f"auto_retrain is {auto_retrain!r}", where="LearningPipeline", remedy=remedy)
    return auto_retrain
