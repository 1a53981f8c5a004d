"""Guardrails: measures of the outcome that a new policy must not make worse, declared beside the reward.

    [agents.NAME.guardrails]
    latency = { outcome = "execution_time", direction = "lower", aggregate = "max", margin = 0.1 }

A value that is missing is never guessed: it stays NaN, and the gate refuses by the guardrail's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from envs.declared import Table
from envs.errors import RecordError, SpecificationError
from envs.expression import Expression
from envs.record import DecisionRecord

DIRECTIONS = ("lower", "higher")
AGGREGATES = ("mean", "sum", "max")
GUARDRAIL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class GuardrailSpecification:
    """One declared guardrail.

    Attributes:
        name: ``[a-z0-9][a-z0-9_-]{0,63}``.
        outcome: expression over ``outcome`` fields, one value per decision.
        direction: which is better, ``lower`` or ``higher``.
        aggregate: of an episode's decisions up to the horizon, undiscounted: ``mean``, ``sum`` or ``max``.
        margin: tolerated loss in the measure's own unit, or ``None``.
        relative_margin: tolerated loss as a share of the measure's mean on train and select, or ``None``;
            where neither is declared it is half the agent's practical effect.
        missing: value of a decision whose outcome does not tell, or ``None``: then the gate refuses.
    """

    name: str
    outcome: str
    direction: str
    aggregate: str = "mean"
    margin: float | None = None
    relative_margin: float | None = None
    missing: float | None = None

    @property
    def sign(self) -> float:
        """What makes larger better: -1 where lower is better, else 1."""
        return -1.0 if self.direction == "lower" else 1.0


KEYS = tuple(item.name for item in fields(GuardrailSpecification) if item.name != "name")


@dataclass(frozen=True, slots=True, eq=False)
class GuardrailValues:
    """The guardrails' values of N decisions.

    Attributes:
        values: float64 (N, G), in the order of the declaration; NaN where the outcome does not tell.
        unmeasured: decisions with such a value.
        reason: the first of them and what it lacks, or empty.
    """

    values: np.ndarray
    unmeasured: int
    reason: str


def guardrails_from_table(table: Mapping[str, Any] | None, where: str) -> tuple[GuardrailSpecification, ...]:
    """What ``[agents.NAME.guardrails]`` declares, in its order.

    Raises:
        SpecificationError: unknown key, wrong type, both margins, or no expression; names guardrail and key.
    """
    return tuple(_guardrail(str(name), declared, where) for name, declared in (table or {}).items())


def guardrails_to_table(guardrails: Sequence[GuardrailSpecification]) -> dict[str, dict[str, Any]]:
    """The plain table that :func:`guardrails_from_table` reads back; defaults are left out."""
    defaults = {item.name: item.default for item in fields(GuardrailSpecification)}
    return {
        guardrail.name: {key: getattr(guardrail, key) for key in KEYS if getattr(guardrail, key) != defaults[key]}
        for guardrail in guardrails
    }


def measure_guardrails(
    guardrails: Sequence[GuardrailSpecification], records: Sequence[DecisionRecord]
) -> GuardrailValues:
    """The guardrails' values of decisions, by the declared expressions over their outcomes."""
    values = np.full((len(records), len(guardrails)), np.nan)
    expressions = [Expression(guardrail.outcome) for guardrail in guardrails]
    reason = ""
    for row, record in enumerate(records):
        for column, (guardrail, expression) in enumerate(zip(guardrails, expressions, strict=True)):
            try:
                values[row, column] = expression.evaluate(record.outcome or {})
            except RecordError as error:
                if guardrail.missing is not None:
                    values[row, column] = guardrail.missing
                else:
                    reason = reason or f"guardrail {guardrail.name}, event {record.event_id}: {error.problem}"
    return GuardrailValues(values, int(np.isnan(values).any(axis=1).sum()), reason)


def _guardrail(name: str, table: Any, where: str) -> GuardrailSpecification:
    reader = Table(table, where, known=KEYS, prefix=f"guardrails.{name}.")
    if not GUARDRAIL_NAME.fullmatch(name):
        raise SpecificationError(
            f"guardrails: {name!r} is not a name",
            where=where,
            remedy="use lower-case letters, digits, - and _, at most 64, beginning with a letter or digit",
        )
    outcome = reader.text("outcome", None, empty=False)
    try:
        Expression(outcome)
    except SpecificationError as error:
        raise reader.error("outcome", error.problem, error.remedy) from None
    margin = reader.number("margin", None, low=0.0)
    relative = reader.number("relative_margin", None, low=0.0)
    if margin is not None and relative is not None:
        raise reader.error("margin", "is declared twice, as margin and as relative_margin", "declare one of them")
    return GuardrailSpecification(
        name=name,
        outcome=outcome,
        direction=reader.text("direction", None, choices=DIRECTIONS),
        aggregate=reader.text("aggregate", "mean", choices=AGGREGATES),
        margin=margin,
        relative_margin=relative,
        missing=reader.number("missing", None),
    )
