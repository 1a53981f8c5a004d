"""A small fully connected network as a layer of a policy. Numpy alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from algorithms.policy.arrays import RESTORE, array_from_json, array_to_json
from algorithms.policy.encoders import FeatureEncoder, encoder_to_json, read_encoder
from envs.errors import ArtefactError

ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0.0)}


@dataclass(frozen=True, eq=False)
class Network:
    """softmax(f(x) / temperature) of a fully connected network f over the allowed actions; absolute.

    Attributes:
        encoder: gives the features (N, F) of raw rows.
        weights: pairs W (inputs, outputs) and b (outputs,), from first to last; one pair is linear.
        activation: ``tanh`` or ``relu``, between the pairs.
        temperature: 0 takes the largest logit (the first of equals).
    """

    encoder: FeatureEncoder
    weights: Sequence[tuple[np.ndarray, np.ndarray]]
    activation: str = "tanh"
    temperature: float = 1.0
    kind: ClassVar[str] = "network"
    absolute: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ArtefactError(f"unknown activation {self.activation!r}", where=self.kind, remedy="use tanh or relu")
        if not (np.isfinite(self.temperature) and self.temperature >= 0.0):
            raise ArtefactError(f"temperature {self.temperature}", where=self.kind, remedy="give 0 or more")
        previous = None
        for number, (weight, bias) in enumerate(self.weights):
            if weight.ndim != 2 or bias.shape != weight.shape[1:] or previous not in (None, weight.shape[0]):
                raise ArtefactError(f"shapes of layer {number} do not fit", where=self.kind, remedy=RESTORE)
            previous = weight.shape[1]
        if previous is None:
            raise ArtefactError("has no weights", where=self.kind, remedy="give at least one pair")
        doubles = tuple((np.asarray(w, np.float64), np.asarray(b, np.float64)) for w, b in self.weights)
        object.__setattr__(self, "weights", doubles)

    @property
    def action_count(self) -> int:
        """Number of actions, A."""
        return self.weights[-1][0].shape[1]

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """The outputs of the last pair, float64 (N, A)."""
        values = self.encoder.features(rows)
        for weight, bias in self.weights[:-1]:
            values = ACTIVATIONS[self.activation](values @ weight + bias)
        weight, bias = self.weights[-1]
        return values @ weight + bias

    def __call__(
        self, rows: np.ndarray, current: np.ndarray | None = None, allowed: np.ndarray | None = None
    ) -> np.ndarray:
        """Probabilities (N, A) on raw rows."""
        logits = self.logits(rows)
        masked = logits if allowed is None else np.where(allowed, logits, -np.inf)
        best = masked.max(axis=1, keepdims=True)
        if self.temperature == 0.0:
            out = np.zeros(masked.shape)
            out[np.arange(len(out)), masked.argmax(axis=1)] = 1.0
        else:
            out = np.exp((masked - best) / self.temperature)
            out /= out.sum(axis=1, keepdims=True)
        out[np.isnan(logits).any(axis=1)] = np.nan
        return out

    def one(self, row: np.ndarray, current: list[float], allowed: Sequence[bool] | None) -> list[float]:
        """Probabilities of one decision."""
        mask = None if allowed is None else np.array([allowed], dtype=bool)
        return list(self(row[None, :], None, mask)[0].tolist())

    def is_uncertain(self, row: np.ndarray) -> bool:
        """Never: a network always prefers something."""
        return False

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "kind": self.kind,
            "encoder": encoder_to_json(self.encoder),
            "weights": [[array_to_json(weight), array_to_json(bias)] for weight, bias in self.weights],
            "activation": self.activation,
            "temperature": float(self.temperature),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Network:
        """The component that :meth:`to_json` wrote."""
        weights = [
            (
                array_from_json(weight, f"network.weights[{number}]", dimensions=2, kind="f"),
                array_from_json(bias, f"network.biases[{number}]", dimensions=1, kind="f"),
            )
            for number, (weight, bias) in enumerate(value["weights"])
        ]
        return cls(read_encoder(value["encoder"]), weights, value["activation"], float(value["temperature"]))
