"""How an :class:`~ai_engine.deploy.agent.Agent` meets the agent's declaration, or makes one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from algorithms.policy.rule import Rule
from envs.declaration import from_table
from envs.errors import SpecificationError
from envs.home import Home
from envs.infer import infer_specification
from envs.observation import ObservationField, ObservationSpecification
from envs.record import DecisionRecord
from envs.specification import Action, AgentSpecification

DEFAULT_VERSION = "rule-1"


def declared_specification(
    home: Home, name: str, actions: Sequence[Action] | None, explore: float, version: str, horizon: int | None = None
) -> AgentSpecification | None:
    """The declaration of an agent, ``None`` where there is none yet.

    Raises:
        SpecificationError: an argument that was given contradicts it; names the argument.
    """
    if name not in home.agents():
        return None
    specification = home.specification(name)
    given: list[tuple[str, str, Any, Any]] = []
    if actions is not None:
        given.append(("actions", "actions", tuple(actions), specification.actions))
    if explore != 0.0:
        given.append(("explore", "explore", explore, specification.explore))
    if version != DEFAULT_VERSION:
        given.append(("version", "rule_version", version, specification.rule_version))
    if horizon is not None:
        given.append(("horizon", "horizon", horizon, specification.horizon))
    for argument, key, value, declared in given:
        if value != declared:
            raise SpecificationError(
                f"{argument} is {value!r}, declared is {declared!r}",
                where=f"agent {name}",
                remedy=f"leave the argument out, or change {key} in {home.configuration_path}",
            )
    return specification


def check_new(
    home: Home,
    name: str,
    policy: Rule | None,
    actions: Sequence[Action] | None,
    explore: float,
    version: str,
    horizon: int | None,
) -> None:
    """What an undeclared agent was told must be a declaration; its first decision would be late to say it is none.

    Raises:
        SpecificationError: an argument is missing or cannot be declared; names it.
    """
    if policy is None or actions is None or not len(actions):
        missing = "policy" if actions is not None and len(actions) else "actions"
        raise SpecificationError(
            f"is not declared, and {missing} is not given",
            where=f"agent {name}",
            remedy=f"give {missing}=..., or declare [agents.{name}] in {home.configuration_path}",
        )
    told = {"actions": list(actions), "explore": explore, "rule_version": version, "observation": {"kind": "int"}}
    from_table(name, told if horizon is None else {**told, "horizon": horizon})


def new_specification(
    name: str, observation: Any, actions: Sequence[Action], explore: float, version: str, horizon: int | None = None
) -> AgentSpecification:
    """The declaration of an agent that was told its actions, its observation read off the first one seen.

    One observation shows names and kinds, not ranges: numbers stay unbounded. Without ``horizon`` it is 1 and not
    confirmed, and a log of longer episodes is not graded by it.

    Raises:
        SpecificationError, RecordError: the observation or the actions cannot be declared.
    """
    record = DecisionRecord.from_mapping({"agent": name, "observation": observation, "action": actions[0]})
    seen = infer_specification(name, [record]).observation
    return AgentSpecification(
        name=name,
        observation=ObservationSpecification(seen.kind, tuple(_open(field, seen.kind) for field in seen.fields)),
        actions=tuple(actions),
        explore=explore,
        rule_version=version,
        horizon=1 if horizon is None else horizon,
        inferred=("observation", *(("horizon",) if horizon is None else ()), "unit"),
    )


def drafted_by_agent(specification: AgentSpecification) -> bool:
    """Whether it is as :func:`new_specification` has it: actions that were told, an observation unconfirmed."""
    return "observation" in specification.inferred and "actions" not in specification.inferred


def _open(field: ObservationField, kind: str) -> ObservationField:
    whole = field.type == "integer" and kind != "int"
    return replace(field, type="number" if whole else field.type, low=None, high=None)
