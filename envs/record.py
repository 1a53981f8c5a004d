"""The decision record: one decision of one agent, checked once and immutable afterwards."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from envs import choice, values
from envs.canonical import canonical_text
from envs.errors import RecordError
from envs.event_ids import new_event_id
from envs.values import UnfitValueError

if TYPE_CHECKING:
    from envs.specification import AgentSpecification

try:  # several times the speed on the deciding path; what is written reads the same either way
    import orjson

    _write: Callable[[Any], bytes] = orjson.dumps
    _read: Callable[[str], Any] = orjson.loads
except ImportError:
    _ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
    _write = lambda value: _ENCODE(value).encode()  # noqa: E731
    _read = json.loads

SCHEMA_VERSION = 1
MODES = ("live", "shadow", "logging")
AGENT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
NAME_RULE = "use 1 to 64 lower-case letters, digits, - and _, beginning with a letter or digit"


class Storable(Protocol):
    """What a journal can keep."""

    def to_mapping(self) -> dict[str, Any]:
        """The fields that are present, by name."""


@dataclass(frozen=True)
class DecisionRecord:
    """One decision of one agent. Build it with :meth:`from_mapping`, which checks every field.

    Attributes:
        event_id: unique over the whole journal.
        agent: ``[a-z0-9][a-z0-9_-]{0,63}``.
        action: what was requested: a text, an integer, or an object of numbers.
        observation: what was known before acting: an integer, an array of numbers, or an object.
        tenant: whose decision it was; never mixed within one episode.
        episode_id: the episode; equal to ``event_id`` for a decision that is its own episode.
        step: position in the episode, from 0.
        timestamp: RFC 3339 in UTC, such as ``2026-01-31T09:30:00Z``, or ``None``.
        allowed_actions: actions that could be requested; ``None`` means all declared ones.
        propensity: probability (density for an action of numbers) of ``action``, or ``None``.
        action_probabilities: probability by ``str(action)``, or an array in the declared order.
        executed_action: what was done instead, if a person or a limit changed the request.
        reward: the reward, or ``None`` where it is computed from ``outcome``.
        outcome: what was known after acting: success, execution_time (s), cost, ...
        next_observation: the observation after the action, or ``None``.
        terminated: the episode came to its end here.
        truncated: the episode was cut here. Both at once counts as terminated.
        policy_version: which policy decided.
        experiment_arm: under which arm of an experiment.
        mode: ``live``, ``shadow`` (never learned from) or ``logging``.
        metadata: kept, never learned from.
    """

    event_id: str
    agent: str
    action: Any
    observation: Any
    tenant: str = "default"
    episode_id: str = ""
    step: int = 0
    timestamp: str | None = None
    allowed_actions: list[Any] | None = None
    propensity: float | None = None
    action_probabilities: dict[str, float] | list[float] | None = None
    executed_action: Any = None
    reward: float | None = None
    outcome: dict[str, Any] | None = None
    next_observation: Any = None
    terminated: bool = False
    truncated: bool = False
    policy_version: str | None = None
    experiment_arm: str | None = None
    mode: str = "logging"
    metadata: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_mapping(
        cls, mapping: Mapping[str, Any], *, unknown: str = "error", agent: str | None = None, where: str = ""
    ) -> DecisionRecord:
        """A checked record from named fields; ``null`` means absent.

        Args:
            mapping: the fields, as in a JSON line or as keyword arguments.
            unknown: ``error`` refuses fields that are not of the record, ``metadata`` keeps them there.
            agent: the agent's name where the mapping has none; another name in the mapping is refused.
            where: the place that an error names, such as ``log.jsonl:17``.

        Raises:
            RecordError: a field breaks the contract; names it, its value and the remedy.
        """
        try:
            return _made(_checked(mapping, unknown, agent))
        except UnfitValueError as problem:
            raise RecordError(problem.problem, field=problem.path, where=where, remedy=problem.remedy) from None

    def to_mapping(self) -> dict[str, Any]:
        """The fields that are present, by name; :meth:`from_mapping` gives the same record back."""
        present = {name: value for name, value in vars(self).items() if value is not None}
        if not self.metadata:
            del present["metadata"]
        return present

    def canonical_json(self) -> str:
        """One text per content: sorted keys, no spaces, one spelling for each number."""
        return canonical_text(self.to_mapping())

    @property
    def content_hash(self) -> str:
        """SHA-256 of :meth:`canonical_json`, in hexadecimal."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()

    @property
    def is_single(self) -> bool:
        """Whether this decision is its own episode, complete with its one step."""
        return self.episode_id == self.event_id

    @property
    def seconds(self) -> float:
        """The timestamp in seconds since the epoch; NaN where absent."""
        return math.nan if self.timestamp is None else datetime.fromisoformat(self.timestamp).timestamp()

    def validate_against(self, specification: AgentSpecification, *, where: str = "") -> DecisionRecord:
        """The record as its agent declares it (see :func:`envs.validation.conform`)."""
        from envs.validation import conform

        return conform(self, specification, where=where)


FIELD_NAMES = tuple(column.name for column in fields(DecisionRecord))
KNOWN_NAMES = frozenset(FIELD_NAMES) | {"schema_version"}
_DEFAULTS = {column.name: None if column.default is MISSING else column.default for column in fields(DecisionRecord)}


def record_of(content: Mapping[str, Any]) -> DecisionRecord:
    """A record of fields that were checked; those that it has not have their defaults.

    Raises:
        TypeError: there are others among them.
    """
    whole = {**_DEFAULTS, **content}
    if len(whole) != len(FIELD_NAMES):
        raise TypeError(f"no fields of a decision: {unknown_fields(content)}")
    return _made(whole)


def _made(whole: dict[str, Any]) -> DecisionRecord:
    # To call a frozen class sets its fields one by one, which takes a quarter of what it takes to check them.
    if whole["metadata"] is None:
        whole["metadata"] = {}
    record = object.__new__(DecisionRecord)
    object.__setattr__(record, "__dict__", whole)
    return record


def unknown_fields(mapping: Iterable[str]) -> list[str]:
    """Names that are not of the decision record, in their order."""
    return [name for name in mapping if name not in KNOWN_NAMES]


def _checked(mapping: Mapping[str, Any], unknown: str, agent: str | None) -> dict[str, Any]:
    out = _DEFAULTS.copy()
    foreign: dict[str, Any] = {}
    name = "agent"
    try:
        out[name] = _agent(mapping.get(name), agent)
        for name, value in mapping.items():
            check = _CHECKS.get(name)
            if check is not None:
                if value is not None:
                    out[name] = check(value)
            elif name not in KNOWN_NAMES:
                foreign[name] = value
                if unknown != "metadata":
                    problem = "is not a field of a decision record"
                    raise UnfitValueError(problem, "map it to one, or keep it in metadata")
        for name in ("action", "observation"):
            if out[name] is None:
                _CHECKS[name](None)
    except UnfitValueError as error:
        raise error.under(str(name)) from None
    out.pop("schema_version", None)
    _place_in_episode(out, mapping.get("step") is not None)
    choice.check(out)
    if foreign:
        _keep_foreign(out, foreign)
    return out


def _version(given: Any) -> None:
    if given != SCHEMA_VERSION:
        remedy = f"this version reads {SCHEMA_VERSION}; upgrade retrainer"
        raise UnfitValueError(f"{values.shown(given)} is not known", remedy)


@lru_cache(maxsize=1024)  # the same few names come with every decision
def _is_agent_name(text: str) -> bool:
    return AGENT_NAME.fullmatch(text) is not None


def _agent(given: Any, expected: str | None) -> str:
    agent = expected if given is None else given
    if agent is None:
        raise UnfitValueError("is missing", "name the agent")
    if not isinstance(agent, str) or not _is_agent_name(agent):
        raise UnfitValueError(f"{values.shown(agent)} is not an agent's name", NAME_RULE)
    if expected is not None and agent != expected:
        raise UnfitValueError(f"is {agent}, expected is {expected}", f"import it as {agent}, or correct it")
    return str(agent)


def _step(value: Any) -> int:
    step = values.integer(value)
    if step < 0:
        raise UnfitValueError(f"{step} is negative", "count steps from 0")
    return step


def _mode(value: Any) -> str:
    if value not in MODES:
        raise UnfitValueError(f"{values.shown(value)} is not a mode", f"give one of {', '.join(MODES)}")
    return str(value)


def _outcome(value: Any) -> dict[str, Any] | None:
    if type(value) is not dict and not isinstance(value, Mapping):
        raise UnfitValueError(f"{values.shown(value)} is not an object", "give named values")
    return values.plain_object(value) or None


def _metadata(value: Any) -> dict[str, Any]:
    return _outcome(value) or {}


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "schema_version": _version,
    "event_id": values.name,
    "tenant": values.name,
    "episode_id": values.name,
    "step": _step,
    "timestamp": values.timestamp,
    "observation": values.observation,
    "allowed_actions": choice.allowed_actions,
    "action": values.action,
    "propensity": values.number,
    "action_probabilities": choice.probabilities,
    "executed_action": values.action,
    "reward": values.number,
    "outcome": _outcome,
    "next_observation": values.observation,
    "terminated": values.boolean,
    "truncated": values.boolean,
    "policy_version": values.name,
    "experiment_arm": values.name,
    "mode": _mode,
    "metadata": _metadata,
}


def _place_in_episode(out: dict[str, Any], numbered: bool) -> None:
    if out["event_id"] is None:
        out["event_id"] = new_event_id()
    if not out["episode_id"]:
        if out["step"] != 0:
            raise UnfitValueError(
                f"is missing, but step is {out['step']}", "name the episode of the step", "episode_id"
            )
        out["episode_id"] = out["event_id"]
    elif not numbered and out["episode_id"] != out["event_id"]:
        raise UnfitValueError("is missing, but episode_id is given", "number the episode's decisions from 0", "step")


def _keep_foreign(out: dict[str, Any], foreign: dict[str, Any]) -> None:
    metadata = out["metadata"] = out["metadata"] or {}
    for name, value in foreign.items():
        if name in metadata:
            raise UnfitValueError("is both a field and in metadata", "rename one", str(name))
        try:
            metadata[values.key(name)] = values.plain(value)
        except UnfitValueError as problem:
            raise problem.under(str(name)) from None


def stored_text(event: Storable) -> str:
    """A record, or what else has fields, as the journal keeps it: JSON with the numbers' own types."""
    return _write(event.to_mapping()).decode()


def stored_json(fields: Mapping[str, Any]) -> bytes:
    """The same of fields that are known to be plain, in the order of :data:`FIELD_NAMES`; UTF-8."""
    return _write(fields)


def stored_fields(text: str) -> dict[str, Any]:
    """The fields in a :func:`stored_text`."""
    return dict(_read(text))


def trusted(text: str) -> DecisionRecord:
    """A record from :func:`stored_text`; it was checked when it was written and is not checked again."""
    return record_of(_read(text))
