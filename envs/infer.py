"""A draft declaration read off a log: written down once, confirmed by a person, never guessed again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.errors import SpecificationError
from envs.field_statistics import FieldStatistics
from envs.observation import ObservationField, ObservationSpecification, flatten
from envs.specification import Action, AgentSpecification

if TYPE_CHECKING:
    from envs.record import DecisionRecord

MAXIMUM_FIELDS = 10_000  # different fields of an observation, and different actions


def infer_specification(name: str, records: Iterable[DecisionRecord]) -> AgentSpecification:
    """The draft specification of a log's agent; see :class:`LogStatistics`.

    Args:
        name: the agent.
        records: its decision records, in any order; none is kept.

    Raises:
        SpecificationError: no record, or observations or actions of different kinds.
    """
    statistics = LogStatistics(f"agent {name}")
    for record in records:
        statistics.add(record)
    return statistics.specification(name)


class LogStatistics:
    """What a draft says about a log, collected record by record in memory that does not grow with it.

    Actions are those that occur (as taken, allowed or given a probability), sorted, never a count up
    to the largest. The horizon is the longest episode. The reward's range is that of the data; where
    no record has a reward and every outcome tells ``success``, that is the reward. Exploration is 0:
    a log never proves that it will go on. All of this is exact; the most frequent texts of a field are,
    unless it has more than :data:`~envs.field_statistics.COUNTED_VALUES` different ones, and then it is an identifier.

    Args:
        where: what errors name.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.records = 0
        self._kinds: set[str] = set()
        self._sizes: set[int] = set()
        self._observations = 0
        self._columns: dict[str, FieldStatistics] = {}
        self._integers: tuple[int, int] | None = None
        self._actions: set[Any] = set()
        self._probability_names: set[str] = set()
        self._objects = False
        self._last_step = 0
        self._rewards: tuple[float, float] | None = None
        self._success = True

    def add(self, record: DecisionRecord) -> None:
        """Count a record in.

        Raises:
            SpecificationError: more different actions or observed fields than a declaration can list.
        """
        self.records += 1
        self._observe(record.observation, record.event_id)
        if record.next_observation is not None:
            self._observe(record.next_observation, record.event_id)
        if isinstance(record.action, Mapping):
            self._objects = True
        else:
            self._actions.add(record.action)
        if record.allowed_actions:
            self._actions.update(record.allowed_actions)
        if isinstance(record.action_probabilities, Mapping):
            self._probability_names.update(record.action_probabilities)
        if record.step > self._last_step:
            self._last_step = record.step
        if record.reward is not None:
            reward = float(record.reward)
            low, high = self._rewards or (reward, reward)
            self._rewards = min(low, reward), max(high, reward)
        elif self._success:
            self._success = isinstance((record.outcome or {}).get("success"), bool)
        if len(self._actions) + len(self._probability_names) > 2 * MAXIMUM_FIELDS:
            raise SpecificationError(
                f"actions: more than {MAXIMUM_FIELDS} different ones",
                where=self.where,
                remedy="check which field is the action, or declare the agent first",
            )

    def specification(self, name: str) -> AgentSpecification:
        """The draft; :attr:`~AgentSpecification.inferred` names every attribute that was read off.

        Raises:
            SpecificationError: no record, or observations or actions of different kinds.
        """
        if not self.records:
            raise SpecificationError(
                "has no records to infer a declaration from", where=self.where, remedy="import a log first"
            )
        inferred = ["observation", "actions", "horizon"]
        observation, actions = self._observation(), self._listed_actions()
        reward, reward_range = self._reward()
        inferred += (["reward"] if reward else []) + (["reward_range"] if reward_range else [])
        return AgentSpecification(
            name=name,
            observation=observation,
            actions=actions,
            reward=reward,
            reward_range=reward_range,
            horizon=1 + self._last_step,
            unit="episode",
            explore=0.0,
            inferred=(*inferred, "unit", "explore"),
        )

    def _observe(self, observation: Any, event: str) -> None:
        kind = _kind(observation)
        self._kinds.add(kind)
        self._observations += 1
        if kind == "int":
            value = int(observation)
            low, high = self._integers or (value, value)
            self._integers = min(low, value), max(high, value)
        elif kind == "vector":
            self._sizes.add(len(observation))
            for index, value in enumerate(observation):
                self._column(f"x{index}", event).add(value)
        elif kind == "object":
            for field_name, value in flatten(observation).items():
                if isinstance(value, (list, tuple)) and value and all(map(_is_number, value)):
                    for index, item in enumerate(value):
                        self._column(f"{field_name}.{index}", event).add(item)
                else:
                    self._column(field_name, event).add(value)

    def _column(self, name: str, event: str) -> FieldStatistics:
        column = self._columns.get(name)
        if column is None:
            if len(self._columns) >= MAXIMUM_FIELDS:
                raise SpecificationError(
                    f"observation: more than {MAXIMUM_FIELDS} different fields",
                    where=self.where,
                    remedy="use the same names in every row, or declare the agent first",
                )
            column = self._columns[name] = FieldStatistics(event)
        return column

    def _observation(self) -> ObservationSpecification:
        if len(self._kinds) != 1:
            raise SpecificationError(
                f"observation: some are {' and some are '.join(sorted(self._kinds))}",
                where=self.where,
                remedy="give every decision of one agent the same kind of observation",
            )
        (kind,) = self._kinds
        if kind == "int" and self._integers is not None:
            low, high = self._integers
            return ObservationSpecification("int", (ObservationField("state", "integer", float(low), float(high)),))
        if kind == "vector" and len(self._sizes) != 1:
            raise SpecificationError(
                f"observation: vectors of {min(self._sizes)} and of {max(self._sizes)} numbers",
                where=self.where,
                remedy="give every decision of one agent as many numbers",
            )
        if not self._columns:
            raise SpecificationError(
                "observation: is empty", where=self.where, remedy="record what is known before acting"
            )
        outer = self._refuse_mixed()
        names = list(self._columns) if kind == "vector" else sorted(self._columns)
        names = [name for name in names if not self._columns[name].empty and name not in outer]
        return ObservationSpecification(
            kind, tuple(self._columns[name].declared(name, kind, self._observations) for name in names)
        )

    def _refuse_mixed(self) -> set[str]:
        """Names of objects that are absent in some observations; one that is a plain value in some is refused."""
        found: set[str] = set()
        for name, column in self._columns.items():
            parts = name.split(".")
            outer = {".".join(parts[:depth]) for depth in range(1, len(parts))} & self._columns.keys()
            for single in sorted(outer):
                if not self._columns[single].present or self._columns[single].empty:
                    continue
                event = self._columns[single].first
                raise SpecificationError(
                    f"observation.{single}: is one value in event {event}, a list or an object in {column.first}",
                    where=self.where,
                    remedy="exclude the events that are wrong (retrainer log exclude), or declare the agent first",
                )
            found |= outer
        return found

    def _listed_actions(self) -> tuple[Action, ...]:
        if self._objects:
            raise SpecificationError(
                "actions: some are objects of numbers",
                where=self.where,
                remedy="give each choice a name or an integer",
            )
        names = any(isinstance(action, str) for action in self._actions)
        # Keys of a JSON object are texts even where the actions are integers.
        keys = {name if names or not _is_integer(name) else int(name) for name in self._probability_names}
        seen = self._actions | keys
        if len({isinstance(action, str) for action in seen}) > 1:
            name, number = (
                next(action for action in seen if isinstance(action, str) is text) for text in (True, False)
            )
            raise SpecificationError(
                f"actions: {name!r} is a name and {number!r} a number",
                where=self.where,
                remedy="use one or the other",
            )
        return tuple(sorted(seen))

    def _reward(self) -> tuple[str, tuple[float, float] | None]:
        if self._rewards is None:
            return ("success", (0.0, 1.0)) if self._success else ("", None)
        low, high = self._rewards
        if low == high:
            # A range needs a width, and a constant says nothing about it.
            width = max(abs(low), 1.0)
            low, high = low - width, high + width
        return "", (low, high) if math.isfinite(high - low) else None


def _kind(observation: Any) -> str:
    if isinstance(observation, Mapping):
        return "object"
    if isinstance(observation, (int, np.integer)) and not isinstance(observation, bool):
        return "int"
    return "vector" if isinstance(observation, (Sequence, np.ndarray)) and not isinstance(observation, str) else "other"


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
