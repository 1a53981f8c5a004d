"""Decision records against their agent's declaration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from envs.errors import RecordError
from envs.expression import Expression
from envs.outcome import OutcomeEvent
from envs.record import DecisionRecord
from envs.specification import AgentSpecification
from envs.values import shown

# Sums of many costs differ in their last digits; a bound is not crossed by that.
RANGE_TOLERANCE = 1e-9


class Validator:
    """Checks many records of one agent; what the declaration says is looked up once.

    Args:
        specification: the agent's declaration.
    """

    def __init__(self, specification: AgentSpecification) -> None:
        self.specification = specification
        self._actions = frozenset(specification.actions)
        self._names = frozenset(map(str, specification.actions))
        self._reward = Expression(specification.reward, "reward") if specification.reward else None
        self._worst = Expression(specification.worst_class, "worst_class") if specification.worst_class else None
        bounds = specification.reward_range
        # A range that was only read off an earlier log is a description, not a rule.
        self._bounds = None if bounds is None or "reward_range" in specification.inferred else bounds
        slack = 0.0 if self._bounds is None else RANGE_TOLERANCE * max(map(abs, self._bounds))
        low, high = self._bounds or (-math.inf, math.inf)
        self._least, self._most = low - slack, high + slack
        self._ranges = _plain_ranges(specification)

    def conform(self, record: DecisionRecord, *, where: str = "") -> DecisionRecord:
        """The record in the declaration's form: an array of probabilities becomes an object by action.

        Raises:
            RecordError: the record does not fit; names the field, what is declared, and the remedy.
        """
        try:
            if isinstance(record.action_probabilities, list):
                record = self._named_probabilities(record, record.action_probabilities)
            self._check_action(record.action, "action")
            if record.allowed_actions is not None:
                for action in record.allowed_actions:
                    self._check_action(action, "allowed_actions")
            if record.action_probabilities is not None:
                self._check_probabilities(record.action_probabilities)
            self._check_observation(record.observation, "observation")
            if record.next_observation is not None:
                self._check_observation(record.next_observation, "next_observation")
            self.check_outcome_of(record.reward, record.outcome)
        except RecordError as error:
            raise error.at(where or error.where or f"agent {self.specification.name}") from None
        return record

    def conform_outcome(self, event: OutcomeEvent) -> None:
        """Check what an outcome says by itself: what is computed from it, where it has all that the expression reads.

        Raises:
            RecordError: the next observation, the reward or a field of the outcome does not fit; names the field.
        """
        where = f"agent {self.specification.name}"
        try:
            if event.next_observation is not None:
                self._check_observation(event.next_observation, "next_observation")
            if event.reward is not None:
                self._check_range(event.reward)
            self.check_outcome_of(None, event.outcome, partial=True)
        except RecordError as error:
            raise error.at(where) from None

    def _named_probabilities(self, record: DecisionRecord, probabilities: list[float]) -> DecisionRecord:
        declared = self.specification.actions
        if "actions" in self.specification.inferred:
            problem = "is an array, but the order of the actions is not declared"
            raise RecordError(problem, field="action_probabilities", remedy="give an object {action: probability}")
        if len(probabilities) != len(declared):
            problem = f"has {len(probabilities)} entries, declared are {len(declared)} actions"
            raise RecordError(problem, field="action_probabilities", remedy="give one per action, in declared order")
        named = dict(zip(map(str, declared), probabilities, strict=True))
        return DecisionRecord.from_mapping(record.to_mapping() | {"action_probabilities": named})

    def _check_probabilities(self, probabilities: dict[str, float] | list[float]) -> None:
        # An object lists every action that could be drawn: a missing one has probability 0.
        if isinstance(probabilities, dict) and not self._names.issuperset(probabilities):
            name = next(name for name in probabilities if name not in self._names)
            self._refuse_action(name, "action_probabilities")

    def _check_action(self, action: Any, field: str) -> None:
        if isinstance(action, dict) or action not in self._actions:
            self._refuse_action(action, field)

    def _refuse_action(self, action: Any, field: str) -> None:
        declared = self.specification.actions
        listed = ", ".join(map(str, declared[:8])) + (", …" if len(declared) > 8 else "")
        remedy = f"declared are {listed}; correct the row, or declare the action in retrainer.toml"
        raise RecordError(f"{shown(action)} is not a declared action", field=field, remedy=remedy)

    def _check_observation(self, observation: Any, field: str) -> None:
        # What nearly every observation is, without making its raw row: a record's floats are finite already.
        if type(observation) is dict and len(observation) == len(self._ranges):
            for name, value in observation.items():
                bounds = self._ranges.get(name)
                if type(value) is not float or bounds is None or not bounds[0] <= value <= bounds[1]:
                    break
            else:
                return
        try:
            self.specification.observation.row(observation)
        except RecordError as error:
            raise error.at("", field=field + error.field.removeprefix("observation")) from None

    @property
    def reads_outcomes(self) -> bool:
        """Whether the declaration computes something from each outcome."""
        return self._worst is not None or self._reward is not None

    def check_outcome_of(
        self, reward: float | None, outcome: Mapping[str, Any] | None, *, partial: bool = False
    ) -> None:
        """The reward, given or computed, lies in its range; the class of catastrophes can be told.

        Args:
            reward: as given.
            outcome: what became known.
            partial: whether more may become known: an expression that lacks a field is left for then.

        Raises:
            RecordError: not so; names the field.
        """
        if outcome is not None:
            if self._worst is not None and (not partial or self._worst.finds_all(outcome)):
                self._worst.evaluate(outcome)
            if self._reward is not None and (not partial or self._reward.finds_all(outcome)):
                reward = self._reward.evaluate(outcome)
        if reward is not None:
            self._check_range(reward)

    def _check_range(self, reward: float) -> None:
        if self._bounds is not None and not self._least <= reward <= self._most:
            low, high = self._bounds
            problem = f"{reward:g} is outside the declared reward_range [{low:g}, {high:g}]"
            raise RecordError(problem, field="reward", remedy="correct the row, or widen the range in retrainer.toml")


def _plain_ranges(specification: AgentSpecification) -> dict[str, tuple[float, float]]:
    """Ranges of the observation's fields where it is an object of numbers, else empty."""
    observation = specification.observation
    if observation.kind != "object" or any(field.type != "number" or "." in field.name for field in observation.fields):
        return {}
    return {
        field.name: (-math.inf if field.low is None else field.low, math.inf if field.high is None else field.high)
        for field in observation.fields
    }


def conform(record: DecisionRecord, specification: AgentSpecification, *, where: str = "") -> DecisionRecord:
    """One record in its agent's declared form (see :meth:`Validator.conform`)."""
    return Validator(specification).conform(record, where=where)


def check_records(
    records: Iterable[DecisionRecord], specification: AgentSpecification, *, where: Iterable[str] = ()
) -> tuple[list[DecisionRecord], list[tuple[int, RecordError]]]:
    """Many records: those that fit, in declared form, and the position and error of those that do not."""
    validator = Validator(specification)
    places = iter(where)
    good: list[DecisionRecord] = []
    bad: list[tuple[int, RecordError]] = []
    for position, record in enumerate(records):
        try:
            good.append(validator.conform(record, where=next(places, "")))
        except RecordError as error:
            bad.append((position, error))
    return good, bad
