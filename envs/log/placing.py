"""Where in a log the decision stands that keeps all the others from being read, and how to go on without it."""

from __future__ import annotations

from envs.errors import DataError, RecordError
from envs.record import DecisionRecord


def placed(error: RecordError | DataError, sequence: int, record: DecisionRecord) -> RecordError | DataError:
    """What is wrong with a decision, with what ``log exclude`` has to be told of it.

    Args:
        error: what is wrong.
        sequence: the decision's journal position.
        record: the decision.
    """
    when = f", {record.timestamp}" if record.timestamp else ""
    where = f"agent {record.agent}, event {record.event_id} at position {sequence}{when}"
    command = f"retrainer log exclude {record.agent} --from {sequence} --to {sequence + 1} --reason TEXT"
    remedy = f"{error.remedy}, or leave its episode out of every dataset: {command}; where all that was recorded by an "
    remedy += f"older declaration is like it, raise version in [agents.{record.agent}], which begins anew"
    if isinstance(error, RecordError):
        return error.at(where, remedy=remedy)
    return DataError(error.problem, where=where, remedy=remedy)
