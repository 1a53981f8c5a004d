"""Foreign field names: the mapping that a home declares, and a proposal for one.

``[agents.NAME.mapping]`` says where a field of the decision record is found in the agent's files:
``reward = "click"`` renames, ``observation = ["load", "queue"]`` gathers columns into an object.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from envs.errors import SpecificationError
from envs.record import FIELD_NAMES
from envs.values import UnfitValueError

GATHERING = ("observation", "next_observation", "outcome", "metadata")
SIMILAR = 0.78
# Names under which other writers keep our fields. A confidence is not a propensity, and success is not an end.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "event_id": ("id", "uuid", "event", "request_id", "decision_id", "impression_id", "log_id"),
    "agent": ("agent_name", "agent_id"),
    "tenant": ("tenant_id", "customer", "customer_id", "account", "account_id", "organisation", "organization"),
    "episode_id": (
        "episode",
        "trajectory",
        "trajectory_id",
        "traj_id",
        "session",
        "session_id",
        "incident_id",
        "eps_id",
    ),
    "step": ("t", "time_step", "timestep", "step_id", "turn", "step_index"),
    "timestamp": ("time", "ts", "datetime", "created_at", "event_time", "logged_at"),
    "observation": ("obs", "state", "context", "features", "s", "x", "input", "input_data", "feature_vector"),
    "action": ("act", "a", "action_type", "action_id", "decision", "item_id", "chosen_action", "treatment"),
    "propensity": ("prob", "probability", "pscore", "propensity_score", "action_prob", "action_probability", "p"),
    "action_probabilities": ("probs", "probabilities", "action_probs", "action_dist", "distribution"),
    "executed_action": ("applied_action", "actual_action"),
    "reward": ("r", "rewards", "click", "score", "payoff", "utility"),
    "outcome": ("result", "results", "output", "output_data"),
    "next_observation": ("next_obs", "next_state", "new_obs", "s_next", "s2", "next_context", "new_state"),
    "terminated": ("done", "terminal", "is_terminal", "terminals", "dones", "is_done"),
    "truncated": ("timeout", "timeouts", "is_truncated", "truncation", "time_limit_reached"),
    "allowed_actions": ("available_actions", "legal_actions", "valid_actions"),
    "policy_version": ("policy", "model_version", "behavior_policy", "behaviour_policy", "policy_id"),
    "experiment_arm": ("arm", "variant", "experiment", "experiment_group"),
    "metadata": ("meta", "info", "extra", "tags"),
}
AFTERWARDS = ("success", "execution_time", "cost", "latency", "duration", "error", "dropped", "response_time")
NEVER = ("confidence", "explanation")


def checked_mapping(mapping: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A declared mapping, or an error that names the wrong line.

    Raises:
        SpecificationError: a key that is not of the decision record, or a value of the wrong kind.
    """
    for ours, theirs in mapping.items():
        if ours not in FIELD_NAMES:
            remedy = f"the record's fields are {', '.join(FIELD_NAMES)}"
            raise SpecificationError(f"mapping.{ours}: is not a field of a decision record", where=where, remedy=remedy)
        gathered = isinstance(theirs, list) and all(isinstance(name, str) for name in theirs)
        if not isinstance(theirs, str) and not (gathered and ours in GATHERING):
            remedy = f'write {ours} = "their_name"' + (" or a list of names" if ours in GATHERING else "")
            raise SpecificationError(f"mapping.{ours}: {theirs!r} names no field", where=where, remedy=remedy)
    return dict(mapping)


def apply_mapping(content: Mapping[str, Any], mapping: Mapping[str, Any]) -> dict[str, Any]:
    """A row under our names. Fields that the mapping does not name stay as they are.

    Raises:
        UnfitValueError: the row has a field under our name and under the mapped one.
    """
    if not mapping:
        return dict(content)
    used = {name for theirs in mapping.values() for name in ([theirs] if isinstance(theirs, str) else theirs)}
    out = {name: value for name, value in content.items() if name not in used}
    for ours, theirs in mapping.items():
        if isinstance(theirs, str):
            value = content.get(theirs)
        else:
            value = {name: content[name] for name in theirs if name in content} or None
        if value is None:
            continue
        if ours in out and ours in GATHERING and isinstance(out[ours], Mapping) and isinstance(value, Mapping):
            value = {**out[ours], **value}
        elif ours in out:
            raise UnfitValueError("is in the row and in the mapping", "remove one of them", ours)
        out[ours] = value
    return out


def propose_mapping(name: str, foreign: Iterable[str], present: Iterable[str], declared: Mapping[str, Any]) -> str:
    """A ``[agents.NAME.mapping]`` block that gives every foreign field a place.

    Args:
        name: the agent.
        foreign: field names of the files that are not of the record.
        present: record fields that the files have, under our names or by the declared mapping.
        declared: the mapping so far, which the block repeats.

    Returns:
        The block as TOML, to be confirmed by a person; empty where there is nothing to map.
    """
    names = list(dict.fromkeys(foreign))
    if not names:
        return ""
    taken = set(present) | set(declared)
    proposed: dict[str, Any] = dict(declared)
    scores = [
        (score, ours, theirs)
        for theirs in names
        if _simple(theirs) not in NEVER
        for ours in FIELD_NAMES
        if ours not in taken and (score := _similarity(ours, theirs)) >= SIMILAR
    ]
    placed: set[str] = set()
    for _, ours, theirs in sorted(scores, key=lambda item: -item[0]):
        if ours not in taken and theirs not in placed:
            proposed[ours] = theirs
            taken.add(ours)
            placed.add(theirs)
    rest = [theirs for theirs in names if theirs not in placed]
    _gather(proposed, "metadata", [theirs for theirs in rest if _simple(theirs) in NEVER])
    afterwards = [theirs for theirs in rest if _simple(theirs) in AFTERWARDS]
    if afterwards and "outcome" not in declared and isinstance(proposed.get("outcome"), str):
        proposed["outcome"] = [proposed["outcome"]]  # one of several things that were known afterwards
    _gather(proposed, "outcome", afterwards)
    others = [theirs for theirs in rest if _simple(theirs) not in NEVER + AFTERWARDS]
    _gather(proposed, "metadata" if "observation" in taken else "observation", others)
    lines = ["# Proposed: confirm every line, then paste it into retrainer.toml.", f"[agents.{name}.mapping]"]
    notes = {"observation": "  # only what was known before acting", "metadata": "  # kept, never learned from"}
    for ours, theirs in proposed.items():
        note = notes.get(ours, "") if isinstance(theirs, list) else ""
        lines.append(f"{ours} = {json.dumps(theirs, ensure_ascii=False)}{note}")
    return "\n".join(lines) + "\n"


def _gather(proposed: dict[str, Any], ours: str, names: list[str]) -> None:
    if not names:
        return
    earlier = proposed.get(ours, [])
    if isinstance(earlier, str):  # a whole object is mapped already; the rest can only be kept beside it
        ours, earlier = "metadata", proposed.get("metadata", [])
    if isinstance(earlier, list):
        proposed[ours] = [*earlier, *names]


def _simple(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")


def _similarity(ours: str, theirs: str) -> float:
    simple = _simple(theirs)
    if simple == ours:
        return 1.0
    if simple in SYNONYMS.get(ours, ()):
        return 0.99 - 0.01 * SYNONYMS[ours].index(simple)
    return 0.9 * difflib.SequenceMatcher(None, ours, simple).ratio()
