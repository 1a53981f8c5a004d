"""Declared limits on actions, as masks before the draw, so that the propensity stays exact."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from algorithms.policy.mixing import no_action_left
from envs.errors import RecordError, SpecificationError
from envs.expression import Expression
from envs.observation import ObservationSpecification, flatten
from envs.values import shown

KEYS = ("cooldown", "forbidden_when")
EXAMPLE = "give {action: {'cooldown': seconds, 'forbidden_when': expression}}"


class Limits:
    """What forbids an action for now.

    ``cooldown``: seconds in which an action is not taken again, per tenant; counted in this process
    from the decisions' timestamps. ``forbidden_when``: an expression over observation fields.

    Args:
        limits: ``{action: {"cooldown": seconds, "forbidden_when": expression}}``.
        actions: the declared actions.
        where: the agent, for messages.

    Raises:
        SpecificationError: an undeclared action, an unknown key or a bad value; names it.
    """

    def __init__(self, limits: Mapping[Any, Mapping[str, Any]], actions: Sequence[Any], where: str) -> None:
        self._where = where
        self._count = len(actions)
        self._cooldowns: dict[int, float] = {}
        self._conditions: dict[int, Expression] = {}
        self._taken: dict[tuple[str, int], float] = {}
        if not isinstance(limits, Mapping):
            raise SpecificationError(f"limits: {shown(limits)} is not an object", where=where, remedy=EXAMPLE)
        for action, declared in limits.items():
            if action not in actions:
                raise self._error(
                    action, "is not a declared action", f"declared are {', '.join(map(str, actions[:8]))}"
                )
            if not isinstance(declared, Mapping):
                raise self._error(action, f"{shown(declared)} is not an object", EXAMPLE)
            position = actions.index(action)
            for key, value in declared.items():
                self._read(action, position, key, value)

    @property
    def timed(self) -> bool:
        """Whether the time of a decision matters."""
        return bool(self._cooldowns)

    def check_fields(self, observation: ObservationSpecification) -> None:
        """Raise :class:`SpecificationError` where a condition reads a field that is not declared."""
        for condition in self._conditions.values():
            for name in condition.names:
                if name not in observation.names:
                    raise SpecificationError(
                        f"limits: {condition.text!r} reads {name!r}, which is not a field of the observation",
                        where=self._where,
                        remedy=f"fields are {', '.join(observation.names[:8])}",
                    )

    def mask(
        self,
        mask: list[bool] | None,
        specification: ObservationSpecification,
        observation: Any,
        tenant: str,
        now: float,
    ) -> list[bool] | None:
        """The caller's mask without what is forbidden now.

        Args:
            mask: what the caller allows, ``None`` for everything; may be changed.
            specification: of the observation.
            observation: as the rule sees it.
            tenant: whose cool-downs count.
            now: seconds since the epoch.

        Raises:
            RecordError: no action is left, or a condition reads a field that is absent.
        """
        forbidden = [
            position
            for position, seconds in self._cooldowns.items()
            if 0.0 <= now - self._taken.get((tenant, position), -math.inf) < seconds
        ]
        if self._conditions:
            fields = _named(specification, observation)
            forbidden += [
                position
                for position, condition in self._conditions.items()
                if (mask is None or mask[position]) and self._holds(condition, fields)
            ]
        if not forbidden:
            return mask
        left = [True] * self._count if mask is None else mask
        for position in forbidden:
            left[position] = False
        if True not in left:
            raise no_action_left()
        return left

    def taken(self, position: int, tenant: str, now: float) -> None:
        """An action was drawn: its cool-down begins."""
        if position in self._cooldowns:
            self._taken[tenant, position] = now

    def _read(self, action: Any, position: int, key: str, value: Any) -> None:
        if key == "cooldown":
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 < value < math.inf:
                raise self._error(action, f"cooldown is {value!r}", "give seconds above 0")
            self._cooldowns[position] = float(value)
        elif key == "forbidden_when":
            if not isinstance(value, str):
                raise self._error(action, f"forbidden_when is {value!r}", "give an expression, such as 'queue > 10'")
            self._conditions[position] = Expression(value)
        else:
            raise self._error(action, f"{key!r} is not a limit", f"known are {', '.join(KEYS)}")

    def _error(self, action: Any, problem: str, remedy: str) -> SpecificationError:
        return SpecificationError(f"limits.{action}: {problem}", where=self._where, remedy=remedy)

    @staticmethod
    def _holds(condition: Expression, observation: Mapping[str, Any]) -> bool:
        try:
            return condition.evaluate(observation) != 0.0
        except RecordError as error:
            field = error.field.replace("outcome", "observation", 1)
            raise error.at("", field=field, remedy="give it, or change the limit that reads it") from None


def _named(specification: ObservationSpecification, observation: Any) -> Mapping[str, Any]:
    if specification.kind == "object":
        return flatten(observation)
    entries = [observation] if specification.kind == "int" else observation
    return dict(zip(specification.names, entries, strict=True))
