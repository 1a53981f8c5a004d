"""What a layer of a policy can be: a table, a map of improvements, or a network (``network.py``). Numpy alone.

A component is called with raw rows (N, D), the probabilities of the layers below (N, A) and the mask
(N, A), and gives probabilities (N, A). ``one`` does the same for a single decision with lists.
*Absolute* components ignore what is below them; *relative* ones move it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np

from algorithms.policy.advantage_network import AdvantageNetwork
from algorithms.policy.arrays import RESTORE, array_from_json, array_to_json
from algorithms.policy.encoders import StateEncoder, encoder_to_json, read_encoder, state_function
from algorithms.policy.mixing import allowed_mask, restrict, restrict_row
from algorithms.policy.network import Network
from envs.errors import ArtefactError

SUM_TOLERANCE = 1e-6


class Component(Protocol):
    """The part of a policy that one training run adds."""

    kind: ClassVar[str]
    absolute: ClassVar[bool]

    @property
    def action_count(self) -> int:
        """Number of actions, A."""
        ...

    def __call__(
        self, rows: np.ndarray, current: np.ndarray | None = None, allowed: np.ndarray | None = None
    ) -> np.ndarray:
        """Probabilities (N, A) on raw rows, given those of the layers below and the mask."""
        ...

    def one(self, row: np.ndarray, current: list[float], allowed: Sequence[bool] | None) -> list[float]:
        """Probabilities of one decision."""
        ...

    def is_uncertain(self, row: np.ndarray) -> bool:
        """Whether the component knows nothing about this state and spreads instead."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The JSON form, with its ``kind``."""
        ...


def _check_distributions(table: np.ndarray, name: str) -> None:
    if not (np.isfinite(table).all() and (table >= 0.0).all() and np.allclose(table.sum(-1), 1.0, atol=SUM_TOLERANCE)):
        raise ArtefactError("holds rows that are not probabilities that sum to 1", where=name, remedy=RESTORE)


@dataclass(frozen=True, eq=False)
class ProbabilityTable:
    """Probabilities by discrete state; absolute.

    Attributes:
        encoder: gives the state of a raw row, -1 for one that it does not know.
        table: float (Z, A), each row sums to 1.
        unseen: float (A,), the distribution in state -1.
        uncertain: bool (Z,), states without data, whose row is a spread and not a preference; a greedy
            policy draws from it there, because its largest entry means nothing. State -1 is uncertain.
    """

    encoder: StateEncoder
    table: np.ndarray
    unseen: np.ndarray
    uncertain: np.ndarray | None = None
    kind: ClassVar[str] = "probability_table"
    absolute: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.table.ndim != 2 or self.unseen.shape != self.table.shape[1:] or len(self.table) != self.encoder.count:
            raise ArtefactError(
                f"table {self.table.shape} and unseen {self.unseen.shape} do not fit {self.encoder.count} states",
                where=self.kind,
                remedy="give (Z, A) and (A,)",
            )
        if self.uncertain is not None and self.uncertain.shape != self.table.shape[:1]:
            raise ArtefactError(f"uncertain has shape {self.uncertain.shape}", where=self.kind, remedy="give (Z,)")
        _check_distributions(self.table, "probability_table.table")
        _check_distributions(self.unseen, "probability_table.unseen")

    @property
    def action_count(self) -> int:
        """Number of actions, A."""
        return self.table.shape[1]

    @cached_property
    def state(self) -> Callable[[np.ndarray], int]:
        """Raw row (D,) to state."""
        return state_function(self.encoder)

    def __call__(
        self, rows: np.ndarray, current: np.ndarray | None = None, allowed: np.ndarray | None = None
    ) -> np.ndarray:
        """Probabilities (N, A) on raw rows."""
        states = self.encoder.states(rows)
        out = self.table[np.maximum(states, 0)].astype(np.float64)
        out[states < 0] = self.unseen
        return restrict(out, allowed_mask(allowed, len(rows), self.action_count))

    def one(self, row: np.ndarray, current: list[float], allowed: Sequence[bool] | None) -> list[float]:
        """Probabilities of one decision."""
        state = self.state(row)
        return restrict_row((self.unseen if state < 0 else self.table[state]).tolist(), allowed)

    def is_uncertain(self, row: np.ndarray) -> bool:
        """Whether the state was never seen."""
        state = self.state(row)
        return state < 0 or (self.uncertain is not None and bool(self.uncertain[state]))

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        out = {"table": array_to_json(self.table), "unseen": array_to_json(self.unseen)}
        uncertain = None if self.uncertain is None else array_to_json(self.uncertain)
        return {"kind": self.kind, "encoder": encoder_to_json(self.encoder), "uncertain": uncertain, **out}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ProbabilityTable:
        """The component that :meth:`to_json` wrote."""
        uncertain = value["uncertain"]
        return cls(
            read_encoder(value["encoder"]),
            array_from_json(value["table"], "probability_table.table", dimensions=2, kind="f"),
            array_from_json(value["unseen"], "probability_table.unseen", dimensions=1, kind="f"),
            None
            if uncertain is None
            else array_from_json(uncertain, "probability_table.uncertain", dimensions=1, kind="b"),
        )


@dataclass(frozen=True, eq=False)
class ImprovementMap:
    """In state z the mass of action b moves to action ``moves[z, b]``; relative.

    An action whose target is not allowed keeps its mass, and a state that is not known moves nothing:
    away from the evidence the policy is the one below (SPIBB, Laroche et al. 2019).

    Attributes:
        encoder: gives the state of a raw row, -1 for one that it does not know.
        moves: int (Z, A), indices of actions; ``moves[z, b] == b`` leaves b alone.
    """

    encoder: StateEncoder
    moves: np.ndarray
    kind: ClassVar[str] = "improvement_map"
    absolute: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.moves.ndim != 2 or self.moves.dtype.kind not in "iu" or len(self.moves) != self.encoder.count:
            raise ArtefactError(
                f"moves {self.moves.shape} {self.moves.dtype} do not fit {self.encoder.count} states",
                where=self.kind,
                remedy="give integers (Z, A)",
            )
        if self.moves.size and not (self.moves.min() >= 0 and self.moves.max() < self.action_count):
            raise ArtefactError("moves name actions that do not exist", where=self.kind, remedy=RESTORE)

    @property
    def action_count(self) -> int:
        """Number of actions, A."""
        return self.moves.shape[1]

    @cached_property
    def state(self) -> Callable[[np.ndarray], int]:
        """Raw row (D,) to state."""
        return state_function(self.encoder)

    def __call__(
        self, rows: np.ndarray, current: np.ndarray | None = None, allowed: np.ndarray | None = None
    ) -> np.ndarray:
        """Probabilities (N, A) on raw rows."""
        if current is None:
            raise ArtefactError("needs the probabilities of what it improves", where=self.kind, remedy="give them")
        states, index = self.encoder.states(rows), np.arange(len(rows))
        mask = allowed_mask(allowed, len(rows), self.action_count)
        targets = self.moves[np.maximum(states, 0)]
        out = np.zeros((len(rows), self.action_count))
        for action in range(self.action_count):
            target = targets[:, action]
            target = np.where((states >= 0) & mask[index, target], target, action)
            out[index, target] += current[:, action]
        return out

    def one(self, row: np.ndarray, current: list[float], allowed: Sequence[bool] | None) -> list[float]:
        """Probabilities of one decision."""
        state = self.state(row)
        if state < 0:
            return current
        out = [0.0] * len(current)
        for action, target in enumerate(self.moves[state].tolist()):
            out[target if allowed is None or allowed[target] else action] += current[action]
        return out

    def is_uncertain(self, row: np.ndarray) -> bool:
        """Never: without evidence it moves nothing."""
        return False

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {"kind": self.kind, "encoder": encoder_to_json(self.encoder), "moves": array_to_json(self.moves)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ImprovementMap:
        """The component that :meth:`to_json` wrote."""
        moves = array_from_json(value["moves"], "improvement_map.moves", dimensions=2, kind="i")
        return cls(read_encoder(value["encoder"]), moves)


COMPONENTS: dict[str, Callable[[Mapping[str, Any]], Component]] = {
    component.kind: component.from_json for component in (ProbabilityTable, ImprovementMap, Network, AdvantageNetwork)
}
