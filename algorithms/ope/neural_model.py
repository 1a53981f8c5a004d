"""A model of Q̂(s, a) by small networks, one for each policy, all trained in the same batched products.

The network of Q̂_h starts from that of Q̂_{h-1} and takes a few steps of Adam towards r + γ V̂_{h-1}(s'). Stochastic
steps end near the least squares, not in it, and what they miss would add up over h. So the last layer is then solved
over all rows, with the ridge of :class:`~algorithms.ope.linear_model.LinearModel`: the network finds the
features, the regression on them finds the values.

All policies start from the same weights and see the same batches. Equal policies have equal values, the luck of the
batches cancels from differences, and the order of the policies does not matter.

References:
    Levine, Zahavy, Mankowitz, Tamar & Mannor (2017), Shallow updates for deep reinforcement learning (least squares
    in the last layer of a network trained by steps); Kingma & Ba (2015), Adam; He et al. (2015) for the first weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from algorithms.ope.action_ridge import ActionRidge
from algorithms.ope.row_features import RowFeatures, row_features
from algorithms.ope.state_action_models import Bounds, Regression, Transitions, clip_values
from envs.adam import fused_adam_step, one_thread

FIRST = 3
"""Q̂_1 starts from nothing and takes so many times the updates of the others."""
PASSES = 4
"""Most times that the updates of one h read each row: on few rows, more of them learn the noise."""
CHUNK = 4096


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """How the networks are trained.

    Attributes:
        hidden: units of each of the two hidden layers.
        updates: most steps of Adam for each h.
        batch: rows of a step.
        learning_rate: of the first step; it falls linearly to zero within each h.
        ridge: λ of the last layer.
    """

    hidden: int = 32
    updates: int = 100
    batch: int = 256
    learning_rate: float = 3e-3
    ridge: float = 10.0


class NeuralModel:
    """Two hidden layers of rectified units beside a linear map, per policy.

    Q̂(s, a) = μ + σ ψ(s)·w_a with ψ = (1, φ(s), second hidden layer), μ and σ the mean and deviation of the targets.

    Args:
        features: float64 (M, F) of like scale, about 1.
        actions: number of actions, A.
        settings: of the training.
        seed: of the first weights and of the batches.
    """

    def __init__(
        self,
        features: np.ndarray | RowFeatures,
        actions: int,
        *,
        settings: NetworkSettings | None = None,
        seed: int = 0,
    ) -> None:
        self.features = row_features(features)
        self.actions = actions
        self.settings = settings or NetworkSettings()
        self.seed = seed
        inputs, hidden = self.features.size, self.settings.hidden
        self.width = 1 + inputs + hidden
        head = (self.width, actions)
        # Two last layers: the one that Adam goes on from, and the solved one that values are read from.
        self.shapes = ((inputs, hidden), (1, hidden), (hidden, hidden), (1, hidden), head, head, (1, 2))

    def regression(self, transitions: Transitions, probabilities: np.ndarray, discount: float) -> Regression:
        """See :class:`~algorithms.ope.state_action_models.StateActionModel`."""
        return _NeuralRegression(self, transitions, probabilities, discount)

    def values(self, coefficients: np.ndarray, rows: np.ndarray, bounds: Bounds) -> np.ndarray:
        """See :class:`~algorithms.ope.state_action_models.StateActionModel`."""
        *hidden, _, heads, scales = self.split(coefficients)
        found = np.empty((len(coefficients), len(rows), self.actions))
        for start in range(0, len(rows), CHUNK):
            inputs = self.features.at(rows[start : start + CHUNK])
            # Policy by policy: faster in the cache, and the sums do not depend on how many there are.
            for policy in range(len(coefficients)):
                values = self.basis([layer[policy] for layer in hidden], inputs) @ heads[policy]
                mean, deviation = scales[policy, 0]
                found[policy, start : start + CHUNK] = mean + deviation * values
        return clip_values(found, bounds)

    def basis(self, hidden: list[np.ndarray], inputs: np.ndarray) -> np.ndarray:
        """ψ of one policy's hidden layers at inputs (m, F), float64 (m, W)."""
        first, first_bias, second, second_bias = hidden
        units = inputs @ first
        units += first_bias
        units = np.maximum(units, 0.0, out=units) @ second
        units += second_bias
        found = np.empty((len(inputs), self.width))
        found[:, 0] = 1.0
        found[:, 1 : -self.settings.hidden] = inputs
        np.maximum(units, 0.0, out=found[:, -self.settings.hidden :])
        return found

    def split(self, coefficients: np.ndarray) -> list[np.ndarray]:
        """The layers of P policies, in the order of ``shapes``, of their coefficients (P, K)."""
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])
        parts = np.split(coefficients, ends[:-1], axis=1)
        return [part.reshape(len(coefficients), *shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def first_layers(self, policies: int) -> list[np.ndarray]:
        """Hidden layers and last layer to start from, the same for every policy; the outputs are near 0."""
        random = np.random.default_rng(self.seed)
        inputs, hidden = self.features.size, self.settings.hidden
        head = np.zeros((self.width, self.actions))
        head[-hidden:] = random.standard_normal((hidden, self.actions)) * 0.1 * math.sqrt(2.0 / hidden)
        layers = [
            random.standard_normal((inputs, hidden)) * math.sqrt(2.0 / max(inputs, 1)),
            np.zeros((1, hidden)),
            random.standard_normal((hidden, hidden)) * math.sqrt(2.0 / hidden),
            np.zeros((1, hidden)),
            head,
        ]
        return [np.repeat(layer[None], policies, axis=0) for layer in layers]


class _NeuralRegression:
    """The transitions in the order of their actions; each sweep trains, then solves."""

    def __init__(
        self, model: NeuralModel, transitions: Transitions, probabilities: np.ndarray, discount: float
    ) -> None:
        self.model, self.probabilities, self.discount = model, probabilities, discount
        order = np.argsort(transitions.actions, kind="stable")
        self.rows, self.actions = transitions.rows[order], transitions.actions[order]
        self.rewards = transitions.rewards[order]
        self.edges = np.searchsorted(self.actions, np.arange(model.actions + 1))
        self.going = np.flatnonzero(transitions.continues[order])
        self.next_rows = transitions.next_rows[order][self.going]
        self.random = np.random.default_rng([model.seed, 1])

    def backup(self, previous: np.ndarray | None, bounds: Bounds) -> np.ndarray:
        policies = len(self.probabilities)
        targets = np.repeat(self.rewards[None], policies, axis=0)
        if previous is not None:
            for start in range(0, len(self.going), CHUNK):
                chunk = slice(start, start + CHUNK)
                values = self.model.values(previous, self.next_rows[chunk], bounds)
                following = np.einsum("pma,pma->pm", values, self.probabilities[:, self.next_rows[chunk]])
                targets[:, self.going[chunk]] += self.discount * following
        mean, deviation = targets.mean(axis=1), targets.std(axis=1)
        deviation = np.where(deviation > 1e-12 * np.abs(targets).max(axis=1), deviation, 1.0)
        targets -= mean[:, None]
        targets /= deviation[:, None]
        layers = self.model.first_layers(policies) if previous is None else self.model.split(previous)[:5]
        layers = self._train(layers, targets, FIRST if previous is None else 1)
        scales = np.stack([mean, deviation], axis=1)
        parts = [*layers, self._solve(layers, targets), scales]
        return np.concatenate([part.reshape(policies, -1) for part in parts], axis=1)

    def _train(self, layers: list[np.ndarray], targets: np.ndarray, times: int) -> list[np.ndarray]:
        """The layers after the steps of one h.

        In double precision, as all else: in single, sums that round differently for one policy and for many grow
        to differences that can be seen.
        """
        settings, count = self.model.settings, len(self.rows)
        updates = times * min(settings.updates, math.ceil(PASSES * count / settings.batch))
        drawn = self.random.integers(count, size=(updates, settings.batch))
        with one_thread() as torch:
            tensors = [torch.from_numpy(layer.copy()).requires_grad_() for layer in layers]
            first, second = ([torch.zeros_like(tensor) for tensor in tensors] for _ in range(2))
            steps = [torch.zeros(()) for _ in tensors]
            for update, index in enumerate(drawn):
                inputs = torch.from_numpy(self.model.features.at(self.rows[index]))
                taken = torch.from_numpy(self.actions[index])
                wanted = torch.from_numpy(targets[:, index])
                gradients = torch.autograd.grad(_loss(torch, tensors, inputs, taken, wanted), tensors)
                rate = settings.learning_rate * (1.0 - update / updates)
                fused_adam_step(tensors, gradients, first, second, steps, rate)
            return [tensor.detach().numpy() for tensor in tensors]

    def _solve(self, layers: list[np.ndarray], targets: np.ndarray) -> np.ndarray:
        """The last layers by ridge on all rows, float64 (P, W, A)."""
        model, policies = self.model, len(targets)
        grams = np.zeros((policies, model.actions, model.width, model.width))
        sides = np.zeros((policies, model.actions, model.width, 1))
        for action in range(model.actions):
            for start in range(self.edges[action], self.edges[action + 1], CHUNK):
                chunk = slice(start, min(start + CHUNK, self.edges[action + 1]))
                inputs = model.features.at(self.rows[chunk])
                for policy in range(policies):
                    basis = model.basis([layer[policy] for layer in layers[:4]], inputs)
                    grams[policy, action] += basis.T @ basis
                    sides[policy, action, :, 0] += targets[policy, chunk] @ basis
        solved = ActionRidge(grams, model.settings.ridge).solve(sides)
        return np.ascontiguousarray(solved[..., 0].transpose(0, 2, 1))


def _loss(torch: Any, tensors: list[Any], inputs: Any, taken: Any, wanted: Any) -> Any:
    """Half the mean squared error of every policy, summed, on rows (B, F), actions (B,) and targets (P, B)."""
    first, first_bias, second, second_bias, head = tensors
    shared = inputs.expand(len(head), -1, -1)
    units = torch.relu(torch.baddbmm(first_bias, shared, first))
    units = torch.relu(torch.baddbmm(second_bias, units, second))
    linear = 1 + inputs.shape[1]
    values = torch.baddbmm(head[:, :1], units, head[:, linear:]) + torch.bmm(shared, head[:, 1:linear])
    found = values.gather(2, taken[None, :, None].expand(len(head), -1, 1)).squeeze(2)
    return 0.5 * ((found - wanted) ** 2).mean(dim=1).sum()
