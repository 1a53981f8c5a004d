"""The reward and the worst class of a decision, by the agent's declared expressions."""

from __future__ import annotations

from envs.errors import DataError, RecordError
from envs.expression import Expression
from envs.record import DecisionRecord
from envs.specification import AgentSpecification

# A declared bound is written in decimals, a reward is computed in binary.
ROUNDING = 1e-9


class Scorer:
    """Rewards of one agent's decisions.

    Where the agent declares a reward expression it is computed from the outcome, so that every record
    is scored by the same version; a record without an outcome keeps the reward it was given, and a log
    that has both is grade D (:func:`envs.card.card.build_card`).

    Attributes:
        recorded: how many rewards were taken as recorded although an expression is declared.
    """

    def __init__(self, specification: AgentSpecification) -> None:
        # A range that was only read off an earlier log is a description, not a rule.
        self._bounds = None if "reward_range" in specification.inferred else specification.reward_range
        self._reward = Expression(specification.reward, "reward") if specification.reward else None
        self._worst = Expression(specification.worst_class, "worst_class") if specification.worst_class else None
        self.recorded = 0

    def score(self, record: DecisionRecord) -> tuple[float, bool]:
        """The reward, and whether the outcome is of the worst class.

        Raises:
            RecordError: there is no reward, or the outcome lacks a field that an expression reads.
            DataError: the reward is outside the declared range.
        """
        where = f"agent {record.agent}, event {record.event_id}"
        outcome = record.outcome or {}
        try:
            if self._reward is not None and (record.outcome is not None or record.reward is None):
                reward = self._reward.evaluate(outcome)
            elif record.reward is not None:
                reward = record.reward
                self.recorded += self._reward is not None
            else:
                raise RecordError("is missing", field="reward", remedy="record it, or declare a reward expression")
            worst = self._worst is not None and self._worst.evaluate(outcome) != 0.0
        except RecordError as error:
            raise error.at(where) from None
        bounds = self._bounds
        if bounds is not None:
            slack = ROUNDING * max(abs(bounds[0]), abs(bounds[1]))
            if not bounds[0] - slack <= reward <= bounds[1] + slack:
                outside = DataError(
                    f"reward {reward:g} is outside the declared range [{bounds[0]:g}, {bounds[1]:g}]",
                    where=where,
                    remedy="correct the outcome, or widen reward_range in retrainer.toml",
                )
                outside.event_id = record.event_id
                raise outside
        return reward, worst
