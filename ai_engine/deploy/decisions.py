"""A live decision with what its record will need, and that record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from algorithms.policy import Decision
from envs import values
from envs.errors import RecordError
from envs.event_ids import new_event_id
from envs.record import DecisionRecord
from envs.specification import Action


@dataclass(frozen=True, slots=True)
class AgentDecision(Decision):
    """What an agent decided, and what its record will need.

    Attributes:
        agent: who decided.
        event_id: of the record.
        observation: a copy of what was given.
        tenant: whose decision.
        episode_id: ``None`` where the decision is its own episode.
        step: position in the episode.
        timestamp: RFC 3339.
        allowed_actions: after the limits, ``None`` where all were.
        root_probabilities: the bare rule's, in action order; ``None`` where the agent has no rule.
    """

    agent: str
    event_id: str
    observation: Any
    tenant: str
    episode_id: str | None
    step: int
    timestamp: str
    allowed_actions: list[Action] | None
    root_probabilities: list[float] | None


def record_of(
    agent: str,
    decision: AgentDecision,
    outcome: Mapping[str, Any] | None,
    *,
    reward: float | None,
    next_observation: Any,
    terminated: bool,
    truncated: bool,
    end_root_probabilities: list[float] | None,
) -> DecisionRecord:
    """The record of a decision and its outcome.

    Raises:
        RecordError: a value breaks the record contract; names the field.
    """
    if not isinstance(decision, AgentDecision) or decision.agent != agent:
        whose = f"of agent {decision.agent}" if isinstance(decision, AgentDecision) else f"a {type(decision).__name__}"
        remedy = "give what decide() of this agent returned"
        raise RecordError(f"is {whose}", field="decision", where=f"agent {agent}", remedy=remedy)
    # The bare rule's own probabilities travel along, so that nobody has to call the rule again.
    roots = {
        "root_probabilities": decision.root_probabilities,
        "end_root_probabilities": end_root_probabilities,
    }
    mapping = {
        "event_id": decision.event_id,
        "agent": agent,
        "tenant": decision.tenant,
        "episode_id": decision.episode_id,
        "step": None if decision.episode_id is None else decision.step,
        "timestamp": decision.timestamp,
        "observation": decision.observation,
        "allowed_actions": decision.allowed_actions,
        "action": decision.action,
        "propensity": decision.propensity,
        "action_probabilities": decision.probabilities,
        "reward": reward,
        "outcome": outcome,
        "next_observation": next_observation,
        "terminated": terminated,
        "truncated": truncated,
        "policy_version": decision.policy_version,
        "mode": "live",
        "metadata": {name: value for name, value in roots.items() if value is not None} or None,
    }
    return DecisionRecord.from_mapping(mapping, where=f"agent {agent}")


def event_identifier(agent: str, tenant: str, episode_id: str | None, step: int, seed: int | None) -> str:
    """A new event's id; the same for the same seed, episode and step, so that a seeded run can be repeated."""
    if seed is None or episode_id is None:
        return new_event_id()
    text = "\0".join((agent, tenant, episode_id, str(step), str(seed)))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def place_names(tenant: str | None, episode_id: str | None) -> tuple[str, str | None]:
    """The tenant and the episode as a record takes them: refused before the action is taken, not when it is recorded.

    Raises:
        RecordError: one of them is no name.
    """
    field = "tenant"
    try:
        tenant = "default" if tenant is None else values.name(tenant)
        field = "episode_id"
        return tenant, None if episode_id is None else values.name(episode_id)
    except values.UnfitValueError as problem:
        raise RecordError(problem.problem, field=field, remedy=problem.remedy) from None


def moment_text(value: str | datetime) -> str:
    """A moment as RFC 3339 in UTC.

    Raises:
        RecordError: no zone, or not RFC 3339.
    """
    try:
        return values.timestamp(value)
    except values.UnfitValueError as problem:
        raise RecordError(problem.problem, field="timestamp", remedy=problem.remedy) from None


def frozen_observation(observation: Any) -> Any:
    """A copy in the record's normal form: what the caller does to the original later is not logged.

    Raises:
        RecordError: it cannot be logged.
    """
    try:
        return values.observation(observation)
    except values.UnfitValueError as problem:
        raise RecordError(problem.problem, field=f"observation{problem.path}", remedy=problem.remedy) from None
