"""A network of action values that improves the layers below where it sees a clear gain. Numpy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from algorithms.policy.mixing import allowed_mask
from algorithms.policy.network import Network
from envs.errors import ArtefactError


@dataclass(frozen=True, eq=False)
class AdvantageNetwork:
    """The mass of action b moves to argmax_a Q(s, a) where that gains more than the margin; relative.

    An action that gains less keeps its mass, and so does every action where Q is not a number: away from
    a clear gain the policy is the one below (in the spirit of SPIBB, Laroche et al. 2019).

    Attributes:
        values: the network of Q, in units of the return; its temperature has no meaning here.
        margin: gain Q(s, a) − Q(s, b) that a move must exceed, in units of the return, 0 or more.
    """

    values: Network
    margin: float = 0.0
    kind: ClassVar[str] = "advantage_network"
    absolute: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.margin) and self.margin >= 0.0):
            raise ArtefactError(f"margin {self.margin}", where=self.kind, remedy="give 0 or more")

    @property
    def action_count(self) -> int:
        """Number of actions, A."""
        return self.values.action_count

    def __call__(
        self, rows: np.ndarray, current: np.ndarray | None = None, allowed: np.ndarray | None = None
    ) -> np.ndarray:
        """Probabilities (N, A) on raw rows."""
        if current is None:
            raise ArtefactError("needs the probabilities of what it improves", where=self.kind, remedy="give them")
        mask = allowed_mask(allowed, len(rows), self.action_count)
        values, index = self.values.logits(rows), np.arange(len(rows))
        best = np.where(mask, values, -np.inf).argmax(axis=1)
        # A comparison with NaN is false: nothing moves.
        moves = values[index, best][:, None] - values > self.margin
        out = np.where(moves, 0.0, current)
        out[index, best] += np.where(moves, current, 0.0).sum(axis=1)
        return out

    def one(self, row: np.ndarray, current: list[float], allowed: Sequence[bool] | None) -> list[float]:
        """Probabilities of one decision."""
        mask = None if allowed is None else np.array([allowed], dtype=bool)
        return list(self(row[None, :], np.array([current]), mask)[0].tolist())

    def is_uncertain(self, row: np.ndarray) -> bool:
        """Never: without a clear gain it moves nothing."""
        return False

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {"kind": self.kind, "values": self.values.to_json(), "margin": float(self.margin)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> AdvantageNetwork:
        """The component that :meth:`to_json` wrote."""
        return cls(Network.from_json(value["values"]), float(value["margin"]))
