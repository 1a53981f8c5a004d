"""A draft declaration read off a log: written down once, confirmed by a person, never guessed again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.errors import SpecificationError
from envs.observation import ObservationField, ObservationSpecification, flatten
from envs.specification import Action, AgentSpecification

if TYPE_CHECKING:
    from envs.record import DecisionRecord

# More values than this are no category but an identifier; the most frequent are kept, others stay unknown (-1).
MAXIMUM_CATEGORIES = 64


def infer_specification(name: str, records: Iterable[DecisionRecord]) -> AgentSpecification:
    """The draft specification of a log's agent.

    Actions are those that occur (as taken, allowed or given a probability), sorted, never a count up
    to the largest. The horizon is the longest episode. The reward's range is that of the data; where
    no record has a reward and every outcome tells ``success``, that is the reward. Exploration is 0:
    a log never proves that it will go on.

    Args:
        name: the agent.
        records: its decision records, in any order.

    Returns:
        A specification whose :attr:`~AgentSpecification.inferred` names every attribute that was read off.

    Raises:
        SpecificationError: no record, or observations or actions of different kinds.
    """
    rows = list(records)
    where = f"agent {name}"
    if not rows:
        raise SpecificationError("has no records to infer a declaration from", where=where, remedy="import a log first")
    observations = [row.observation for row in rows]
    observations += [row.next_observation for row in rows if row.next_observation is not None]
    inferred = ["observation", "actions", "horizon"]
    reward, reward_range = _reward(rows)
    inferred += (["reward"] if reward else []) + (["reward_range"] if reward_range else [])
    return AgentSpecification(
        name=name,
        observation=_observation(observations, where),
        actions=_actions(rows, where),
        reward=reward,
        reward_range=reward_range,
        horizon=_horizon(rows),
        unit="episode",
        explore=0.0,
        inferred=(*inferred, "unit", "explore"),
    )


def _observation(observations: Sequence[Any], where: str) -> ObservationSpecification:
    kinds = {_kind(observation) for observation in observations}
    if len(kinds) != 1:
        raise SpecificationError(
            f"observation: some are {' and some are '.join(sorted(kinds))}",
            where=where,
            remedy="give every decision of one agent the same kind of observation",
        )
    kind = kinds.pop()
    if kind == "int":
        values = [int(observation) for observation in observations]
        field = ObservationField("state", "integer", low=float(min(values)), high=float(max(values)))
        return ObservationSpecification("int", (field,))
    if kind == "vector":
        sizes = sorted({len(observation) for observation in observations})
        if len(sizes) != 1:
            raise SpecificationError(
                f"observation: vectors of {sizes[0]} and of {sizes[-1]} numbers",
                where=where,
                remedy="give every decision of one agent as many numbers",
            )
        columns = {f"x{index}": [row[index] for row in observations] for index in range(sizes[0])}
    else:
        flat = [flatten(observation) for observation in observations]
        columns = {field: [row.get(field) for row in flat] for field in sorted(set().union(*flat))}
    if not columns:
        raise SpecificationError("observation: is empty", where=where, remedy="record what is known before acting")
    return ObservationSpecification(kind, tuple(_field(field, values, kind) for field, values in columns.items()))


def _kind(observation: Any) -> str:
    if isinstance(observation, Mapping):
        return "object"
    if isinstance(observation, (int, np.integer)) and not isinstance(observation, bool):
        return "int"
    return "vector" if isinstance(observation, (Sequence, np.ndarray)) and not isinstance(observation, str) else "other"


def _field(name: str, values: Sequence[Any], kind: str) -> ObservationField:
    present = [value for value in values if value is not None]
    optional = len(present) < len(values)
    if present and all(isinstance(value, (bool, np.bool_)) for value in present):
        return ObservationField(name, "boolean", optional=optional)
    if all(isinstance(value, (int, float, np.integer, np.floating)) for value in present):
        # A vector is "numbers" to whoever wrote it: [0, 1.5] and [0.0, 1.5] are the same observation.
        whole = kind == "object" and all(isinstance(value, (int, np.integer)) for value in present)
        return ObservationField(name, "integer" if whole and present else "number", optional=optional)
    counted = Counter(str(value) for value in present)
    kept = sorted(counted, key=lambda text: (-counted[text], text))[:MAXIMUM_CATEGORIES]
    return ObservationField(name, "category", categories=tuple(sorted(kept)), optional=optional)


def _actions(rows: Sequence[DecisionRecord], where: str) -> tuple[Action, ...]:
    seen: set[Any] = set()
    for row in rows:
        if isinstance(row.action, Mapping):
            raise SpecificationError(
                "actions: some are objects of numbers", where=where, remedy="give each choice a name or an integer"
            )
        seen.add(row.action)
        seen.update(row.allowed_actions or ())
    names = any(isinstance(action, str) for action in seen)
    for row in rows:
        if isinstance(row.action_probabilities, Mapping):
            # Keys of a JSON object are texts even where the actions are integers.
            seen.update(key if names or not _is_integer(key) else int(key) for key in row.action_probabilities)
    if len({isinstance(action, str) for action in seen}) > 1:
        name, number = (next(action for action in seen if isinstance(action, str) is text) for text in (True, False))
        raise SpecificationError(
            f"actions: {name!r} is a name and {number!r} a number", where=where, remedy="use one or the other"
        )
    return tuple(sorted(seen))


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _horizon(rows: Sequence[DecisionRecord]) -> int:
    last: dict[tuple[str, str], int] = {}
    for row in rows:
        episode = (row.tenant, row.episode_id)
        last[episode] = max(last.get(episode, 0), row.step)
    return 1 + max(last.values(), default=0)


def _reward(rows: Sequence[DecisionRecord]) -> tuple[str, tuple[float, float] | None]:
    rewards = [float(row.reward) for row in rows if row.reward is not None]
    if rewards:
        low, high = min(rewards), max(rewards)
        if low == high:
            # A range needs a width, and a constant says nothing about it.
            width = max(abs(low), 1.0)
            low, high = low - width, high + width
        return "", (low, high) if math.isfinite(high - low) else None
    if all(isinstance((row.outcome or {}).get("success"), bool) for row in rows):
        return "success", (0.0, 1.0)
    return "", None
