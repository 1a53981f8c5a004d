"""An agent's declaration as a table of ``retrainer.toml``, and back.

The reader is strict: a key that nobody reads is a declaration that silently does not hold, so an
unknown key, a wrong type or an impossible value is an error that names the agent and the key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from envs import values
from envs.declared import Table
from envs.errors import SpecificationError
from envs.expression import Expression
from envs.guardrail import guardrails_from_table, guardrails_to_table
from envs.observation import (
    FIELD_TYPES,
    MOST_TAGS,
    OBSERVATION_KINDS,
    ObservationField,
    ObservationSpecification,
    with_history,
)
from envs.specification import CENSORING, INFORMATIVE, Action, AgentSpecification

UNITS = ("episode", "day", "tenant")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
RULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
# Written even where they have their default: what a reader of a declaration looks for first.
ALWAYS_WRITTEN = ("actions", "horizon", "discount", "unit", "explore")
NUMBERS = (
    "discount", "embargo", "practical_effect", "minimum_gain", "margin", "abandoned_after", "maturation", "explore",
)  # fmt: skip
ATTRIBUTES = tuple(item.name for item in fields(AgentSpecification) if item.name != "name")
DEFAULTS = {item.name: item.default for item in fields(AgentSpecification)} | {"inferred": ()}


def from_table(name: str, table: Mapping[str, Any]) -> AgentSpecification:
    """The specification that ``[agents.NAME]`` declares.

    Args:
        name: the agent.
        table: the TOML table as plain or tomlkit values. ``observation`` and ``actions`` are required.

    Raises:
        SpecificationError: unknown key, wrong type or bad range; names agent and key, with the remedy.
    """
    where = f"agent {name}"
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise SpecificationError(
            f"{name!r} is not an agent name",
            remedy="use lower-case letters, digits, - and _, at most 64, beginning with a letter or digit",
        )
    reader = Table(table, where, known=ATTRIBUTES)
    unit = reader.text("unit", "episode", choices=UNITS)
    embargo = reader.number("embargo", 0.0, low=0.0)
    if embargo and unit != "day":
        raise reader.error("embargo", f"has no meaning for the unit {unit!r}", 'remove it, or declare unit = "day"')
    margin = reader.number("margin", None, low=0.0)
    rule = reader.text("rule", "")
    if rule and not RULE.fullmatch(rule):
        raise reader.error("rule", f"{rule!r} names no function", 'write "module:function"')
    actions = _actions(reader)
    return AgentSpecification(
        name=name,
        observation=_observation(reader.table("observation"), actions, name),
        actions=actions,
        reward=_expression(reader, "reward"),
        reward_range=reader.interval("reward_range"),
        horizon=reader.integer("horizon", 1, low=1),
        discount=reader.number("discount", 1.0, low=0.0, high=1.0),
        unit=unit,
        embargo=embargo,
        worst_class=_expression(reader, "worst_class"),
        practical_effect=reader.number("practical_effect", 0.02, low=0.0, open_low=True),
        minimum_gain=reader.number("minimum_gain", 0.0, low=0.0),
        margin=margin,
        guardrails=guardrails_from_table(reader.table("guardrails"), where),
        censoring=reader.text("censoring", INFORMATIVE, choices=CENSORING),
        abandoned_after=reader.number("abandoned_after", 0.0, low=0.0),
        maturation=reader.number("maturation", 0.0, low=0.0),
        explore=reader.number("explore", 0.0, low=0.0, high=1.0),
        minimum_units=reader.integer("minimum_units", 40, low=1),
        rule=rule,
        rule_version=_rule_version(reader),
        version=reader.integer("version", 1, low=1),
        inferred=_inferred(reader),
    )


def to_table(specification: AgentSpecification) -> dict[str, Any]:
    """The plain table that :func:`from_table` reads back into an equal specification.

    Attributes with their default value are left out, except those that every reader looks for.
    """
    table: dict[str, Any] = {}
    for attribute in ATTRIBUTES:
        value = getattr(specification, attribute)
        if attribute in ("observation", "guardrails"):
            continue
        if value != DEFAULTS.get(attribute) or attribute in ALWAYS_WRITTEN:
            table[attribute] = list(value) if isinstance(value, tuple) else value
    if specification.reward_range is not None:
        table["reward_range"] = [float(bound) for bound in specification.reward_range]
    for attribute in NUMBERS:
        if attribute in table:
            table[attribute] = float(table[attribute])
    if specification.guardrails:
        table["guardrails"] = guardrails_to_table(specification.guardrails)
    table["observation"] = {
        "kind": specification.observation.kind,
        "fields": [_field_table(field) for field in specification.observation.own],
    }
    if specification.observation.history:
        table["observation"]["history"] = specification.observation.history
    return table


def specification_hash(specification: AgentSpecification) -> str:
    """SHA-256 (hex) of the declaration in canonical form: equal declarations, equal hashes.

    Defaults do not enter it, so that an attribute which a later version adds changes no old hash.
    """
    content = {"name": specification.name, "table": to_table(specification)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _actions(reader: Table) -> tuple[Action, ...]:
    actions: list[Action] = []
    for action in reader.array("actions", required=True):
        if isinstance(action, bool) or not isinstance(action, (str, int)) or action == "":
            raise reader.error("actions", f"{action!r} is not an action", "actions are names or integers")
        if action in actions:
            raise reader.error("actions", f"{action!r} is declared twice", "declare each action once")
        actions.append(action)
    if not actions:
        raise reader.error("actions", "is empty", "declare every action that the agent can take")
    if len({type(action) for action in actions}) > 1:
        raise reader.error("actions", "mixes names and integers", "use one or the other")
    return tuple(actions)


def _inferred(reader: Table) -> tuple[str, ...]:
    inferred = tuple(reader.array("inferred"))
    for attribute in inferred:
        if not isinstance(attribute, str) or attribute.split(".")[0] not in ATTRIBUTES:
            raise reader.error("inferred", f"{attribute!r} is not an attribute", "remove it from the list")
    return inferred


def _rule_version(reader: Table) -> str:
    version = reader.text("rule_version", "rule-1", empty=False)
    try:
        return values.name(version)  # every record carries it
    except values.UnfitValueError as problem:
        raise reader.error("rule_version", problem.problem, problem.remedy) from None


def _expression(reader: Table, key: str) -> str:
    text = reader.text(key, "")
    if text:
        try:
            Expression(text)
        except SpecificationError as error:
            raise reader.error(key, error.problem, error.remedy) from None
    return text


def _observation(table: Mapping[str, Any] | None, actions: tuple[Action, ...], name: str) -> ObservationSpecification:
    where = f"agent {name}"
    outer = Table({} if table is None else table, where, known=("kind", "fields", "history"), prefix="observation.")
    if table is None:
        raise SpecificationError(
            "observation: is not declared",
            where=where,
            remedy=f"add [agents.{name}.observation], or infer it from a log",
        )
    kind = outer.text("kind", None, choices=OBSERVATION_KINDS)
    listed = outer.array("fields", required=kind != "int")
    history = outer.integer("history", 0, low=0)
    if history and kind == "int":
        raise outer.error("history", "has no meaning for an integer", 'declare kind = "object" with an integer field')
    if kind == "int" and not listed:
        return ObservationSpecification("int", (ObservationField("state", "integer"),))
    declared = tuple(_field(item, index, where) for index, item in enumerate(listed))
    allowed = {"int": ("integer",), "vector": ("number", "integer", "boolean")}.get(kind, FIELD_TYPES)
    for field in declared:
        if field.type not in allowed:
            remedy = f"an observation of kind {kind!r} has {' or '.join(allowed)} fields"
            raise outer.error("fields", f"{field.name!r} is a {field.type}", remedy)
    if not declared or (kind == "int" and len(declared) != 1):
        count = "exactly one field" if kind == "int" else "at least one field"
        raise outer.error("fields", f"has {len(declared)} fields", f"an observation of kind {kind!r} has {count}")
    names = [field.name for field in declared]
    for field_name in names:
        if names.count(field_name) > 1:
            raise outer.error("fields", f"{field_name!r} is declared twice", "declare each field once")
        if any(other.startswith(f"{field_name}.") for other in names):
            raise outer.error("fields", f"{field_name!r} is both a value and an object", "rename one of them")
    return with_history(ObservationSpecification(kind, declared), actions, history)


def _field(table: Any, index: int, where: str) -> ObservationField:
    prefix = f"observation.fields[{index}]."
    known = tuple(item.name for item in fields(ObservationField))
    reader = Table(table, where, known=known, prefix=prefix)
    name = reader.text("name", None, empty=False)
    kind = reader.text("type", "number", choices=FIELD_TYPES)
    low, high = reader.number("low", None), reader.number("high", None)
    if kind not in ("number", "integer", "time") and (low is not None or high is not None):
        raise reader.error("low" if low is not None else "high", f"{name!r} is a {kind}", "remove the bound")
    if low is not None and high is not None and low > high:
        raise reader.error("low", f"{low:g} is above high = {high:g}", "exchange them")
    named = kind in ("category", "tags")
    categories = tuple(reader.array("categories", required=named))
    if not named and categories:
        raise reader.error("categories", f"{name!r} is a {kind}", 'remove them, or declare type = "category"')
    if named and (not categories or not all(isinstance(item, str) for item in categories)):
        raise reader.error("categories", "must be a list of names", "list every value as a string")
    if len(set(categories)) != len(categories):
        raise reader.error("categories", "names a value twice", "list each value once")
    if kind == "tags" and len(categories) > MOST_TAGS:
        raise reader.error("categories", f"has {len(categories)} tags, more than {MOST_TAGS}", "declare the usual ones")
    period = reader.number("period", None, low=0.0, open_low=True)
    if period is not None and kind not in ("number", "integer"):
        raise reader.error("period", f"{name!r} is a {kind}", "remove it; a time has the day and the week by itself")
    return ObservationField(
        name=name,
        type=kind,
        low=low,
        high=high,
        unit=reader.text("unit", ""),
        categories=categories,
        optional=reader.boolean("optional", False),
        period=period,
    )


def _field_table(field: ObservationField) -> dict[str, Any]:
    table: dict[str, Any] = {"name": field.name, "type": field.type}
    for bound in ("low", "high", "period"):
        value = getattr(field, bound)
        if value is not None:
            table[bound] = float(value)
    if field.unit:
        table["unit"] = field.unit
    if field.categories:
        table["categories"] = list(field.categories)
    if field.optional:
        table["optional"] = True
    return table
