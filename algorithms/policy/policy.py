"""The stochastic policy: a root, layers of improvement, masks and the exploration floor.

    p₀  = the user's rule, restricted to the allowed actions
    p_k = (1 − η_k) p_{k−1} + η_k component_k(row, p_{k−1})
    π   = (1 − e) p_K + e / |allowed|

Each p is restricted to the allowed actions and renormalised (uniform where nothing is left) *before*
it is mixed, so that a step η is a step of that size in every state, whatever the mask (conservative
policy iteration, Kakade & Langford 2002).
"""

from __future__ import annotations

import random as standard_random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from algorithms.policy.components import Component
from algorithms.policy.mixing import (
    UniformSource,
    add_floor,
    add_floor_row,
    allowed_mask,
    draw,
    no_action_left,
    restrict,
    restrict_row,
)
from algorithms.policy.parts import BaseReference, Decision, Layer
from algorithms.policy.provenance import Provenance
from algorithms.policy.rule import Rule, distribution, rule_probabilities
from envs.errors import ArtefactError, RecordError
from envs.observation import ObservationSpecification
from envs.specification import Action
from envs.values import shown

# The operating system's source: forked workers never repeat each other's draws.
SYSTEM_RANDOM = standard_random.SystemRandom()
LISTS, BOOLEANS = (list, tuple), (bool, np.bool_)


@dataclass(frozen=True, eq=False)
class Policy:
    """A stochastic policy over declared actions, floor included.

    Attributes:
        agent: whose policy it is.
        version: number in the registry, or any name before it is registered.
        observation: what raw rows (D,) stand for.
        actions: in the order of every column of probabilities.
        explore: exploration floor e in [0, 1].
        base: the external rule below the layers, or ``None`` where the first layer stands alone.
        layers: from the root up.
        provenance: where it comes from.
        rule: the callable behind ``base`` where it is at hand; never stored.
    """

    agent: str
    version: str
    observation: ObservationSpecification
    actions: tuple[Action, ...]
    explore: float = 0.0
    base: BaseReference | None = None
    layers: tuple[Layer, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
    rule: Rule | None = None

    def __post_init__(self) -> None:
        where = f"policy of {self.agent}"
        if not self.actions or len(set(self.actions)) != len(self.actions):
            raise ArtefactError("actions are empty or repeated", where=where, remedy="declare each action once")
        if not 0.0 <= self.explore <= 1.0:
            raise ArtefactError(f"explore is {self.explore}", where=where, remedy="give a number in [0, 1]")
        for layer in self.layers:
            if not 0.0 < layer.step <= 1.0:
                raise ArtefactError(f"step is {layer.step}", where=where, remedy="give a number in (0, 1]")
            if layer.component.action_count != len(self.actions):
                raise ArtefactError(
                    f"a layer has {layer.component.action_count} actions, declared are {len(self.actions)}",
                    where=where,
                    remedy="train on this agent's own dataset",
                )
        first = self.layers[0] if self.layers else None
        if self.base is None and not (first and first.component.absolute and first.step == 1.0):
            raise ArtefactError("has neither base nor a whole first layer", where=where, remedy="name its base")

    @property
    def needs_base(self) -> bool:
        """Whether the user's rule is needed to act."""
        return self.base is not None

    @cached_property
    def record_version(self) -> str:
        """What decision records call it: the user's own version for a bare rule, else :attr:`version`."""
        return self.base.version if self.base is not None and not self.layers else self.version

    @cached_property
    def action_positions(self) -> dict[Action, int]:
        """Position of each action."""
        return {action: position for position, action in enumerate(self.actions)}

    def bind(self, rule: Rule | None) -> Policy:
        """The same policy with the callable behind its base."""
        return replace(self, rule=rule)

    def with_layer(
        self, component: Component, step: float, *, version: str = "", provenance: Provenance | None = None
    ) -> Policy:
        """The policy (1 − step) self + step component.

        An absolute component followed whole replaces everything below it: ancestors and base are dropped.
        """
        whole = component.absolute and step == 1.0
        return replace(
            self,
            version=version or self.version,
            base=None if whole else self.base,
            rule=None if whole else self.rule,
            layers=(() if whole else self.layers) + (Layer(step, component),),
            provenance=provenance or Provenance(parent=self.version),
        )

    def probabilities(
        self,
        rows: np.ndarray,
        *,
        allowed: np.ndarray | None = None,
        base: np.ndarray | Rule | None = None,
        floor: bool = True,
    ) -> np.ndarray:
        """Probabilities of all actions on raw rows.

        Args:
            rows: float64 (N, D).
            allowed: bool (N, A) or (A,); ``None`` allows everything.
            base: the rule's probabilities (N, A), without floor, or the rule itself; needed where the policy
                needs a base and none is bound. Rows of NaN give rows of NaN.
            floor: whether the exploration floor is added.

        Returns:
            float64 (N, A).

        Raises:
            ArtefactError: no base at hand; names it.
            RecordError: a row without any allowed action, or a rule that answers something else.
        """
        if rows.ndim != 2 or rows.shape[1] != self.observation.size:
            raise RecordError(
                f"rows have shape {rows.shape}", field="observation", remedy=f"give (N, {self.observation.size})"
            )
        mask = allowed_mask(allowed, len(rows), len(self.actions))
        current = np.empty((len(rows), len(self.actions)))
        if self.base is not None:
            current = restrict(self._root(rows, base), mask)
        for layer in self.layers:
            moved = layer.component(rows, current, mask)
            current = moved if layer.step == 1.0 else (1.0 - layer.step) * current + layer.step * moved
        # Mixing rounds; a probability above 1 is none that a record takes.
        return np.minimum(add_floor(current, mask, self.explore) if floor else current, 1.0)

    def act(
        self,
        observation: Any,
        allowed_actions: Sequence[Action] | None = None,
        *,
        greedy: bool = False,
        rng: UniformSource = SYSTEM_RANDOM,
    ) -> Decision:
        """Decide once.

        Args:
            observation: an integer, a vector or an object, as declared.
            allowed_actions: ``None`` allows all declared actions.
            greedy: the most probable action without the floor, propensity 1; where more than half of the
                policy's weight lies on tables that never saw the state, a draw without the floor instead.
            rng: source of the draw; the operating system's by default.

        Raises:
            RecordError: the observation, the mask or the rule's answer does not fit the declaration.
            ArtefactError: the base is needed and not bound.
        """
        row = self.observation.row(observation)
        allowed = self.mask(allowed_actions)
        root = None if self.base is None else self.root_of(observation)
        position, probabilities = self.decide(row, root, allowed, greedy=greedy, rng=rng)
        distribution_ = dict(zip(self.actions, probabilities, strict=True))
        return Decision(self.actions[position], probabilities[position], distribution_, self.record_version)

    def decide(
        self,
        row: np.ndarray,
        root: list[float] | None,
        allowed: Sequence[bool] | None,
        *,
        greedy: bool = False,
        rng: UniformSource = SYSTEM_RANDOM,
    ) -> tuple[int, list[float]]:
        """:meth:`act` on a raw row (D,) with the rule's probabilities: the drawn position, and of what it was drawn."""
        current = [] if root is None else restrict_row(root, allowed)
        for layer in self.layers:
            moved, step = layer.component.one(row, current, allowed), layer.step
            if step != 1.0:
                keep = 1.0 - step
                moved = [keep * p + step * q for p, q in zip(current, moved, strict=True)]
            current = moved
        if not greedy:
            current = add_floor_row(current, allowed, self.explore)
        elif self._uncertainty(row) <= 0.5:
            best = current.index(max(current))
            return best, [float(position == best) for position in range(len(current))]
        current = [min(p, 1.0) for p in current]  # as in probabilities
        return draw(current, rng), current

    def root_of(self, observation: Any) -> list[float]:
        """The bound rule's probabilities at an observation.

        Raises:
            ArtefactError: no rule is bound; names the base.
        """
        if self.rule is None:
            raise self._missing_base()
        return distribution(self.rule(observation), self.actions, self.action_positions)

    def mask(self, allowed_actions: Sequence[Action] | None) -> list[bool] | None:
        """The mask (A,) of the allowed actions.

        Raises:
            RecordError: an action that is not declared, none at all, or something that is not a list of actions.
        """
        if allowed_actions is None:
            return None
        # An object {action: false} would allow what it forbids, and True is equal to the action 1.
        if type(allowed_actions) not in LISTS and (
            isinstance(allowed_actions, (str, Mapping)) or not isinstance(allowed_actions, Iterable)
        ):
            raise self._not_allowed(f"{shown(allowed_actions)} is not a list of actions")
        mask, positions = [False] * len(self.actions), self.action_positions
        for action in allowed_actions:
            try:
                position = None if type(action) in BOOLEANS else positions.get(action)
            except TypeError:  # a list, say
                position = None
            if position is None:
                raise self._not_allowed(f"{shown(action)} is not a declared action")
            mask[position] = True
        if True not in mask:
            raise no_action_left()
        return mask

    def _not_allowed(self, problem: str) -> RecordError:
        listed = ", ".join(map(str, self.actions[:8]))
        return RecordError(
            problem,
            field="allowed_actions",
            where=f"agent {self.agent}",
            remedy=f"list those that are allowed now; declared are {listed}",
        )

    def to_bytes(self) -> bytes:
        """The artefact file's content (:mod:`algorithms.policy.artefact`)."""
        from algorithms.policy.artefact import policy_to_bytes

        return policy_to_bytes(self)

    @staticmethod
    def from_bytes(content: bytes, *, where: str = "artefact") -> Policy:
        """The policy of an artefact file's content, without its rule."""
        from algorithms.policy.artefact import policy_from_bytes

        return policy_from_bytes(content, where=where)

    def _root(self, rows: np.ndarray, base: np.ndarray | Rule | None) -> np.ndarray:
        if isinstance(base, np.ndarray):
            if base.shape != (len(rows), len(self.actions)):
                raise ArtefactError(
                    f"the base's probabilities have shape {base.shape}",
                    where=f"policy {self.version} of {self.agent}",
                    remedy=f"give ({len(rows)}, {len(self.actions)})",
                )
            return base
        rule = base or self.rule
        if rule is None:
            raise self._missing_base()
        return rule_probabilities(rule, self.observation, self.actions, rows)

    def _uncertainty(self, row: np.ndarray) -> float:
        weight = 0.0
        for layer in self.layers:
            if layer.component.absolute:
                weight = (1.0 - layer.step) * weight + layer.step * layer.component.is_uncertain(row)
        return weight

    def _missing_base(self) -> ArtefactError:
        version = self.base.version if self.base else ""
        return ArtefactError(
            f"stands on the rule {version!r}, which is not at hand",
            where=f"policy {self.version} of {self.agent}",
            remedy="load it with load_policy(path, base=your_rule)",
        )
