"""A bootstrap ensemble of small networks, all members in one batched product: fitted by torch, asked by numpy.

Each member is a linear map plus two hidden layers of rectified units, so that a linear world needs no
network. It is fitted on its own resample of whole units (episodes, days), and keeps the weights that were
best on the units that its resample left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from envs.adam import adam_step, one_thread

BATCH = 256
CHECKS = 10
"""Times that the units left out are looked at."""
CHECKED = 1024
"""Most rows of them that are looked at."""
LEARNING_RATE = 3e-3
"""Of Adam at the start; it falls linearly to zero."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the O outputs of a network are, in this order.

    Attributes:
        squares: number of real numbers, of squared loss.
        binaries: number of log-odds, of logistic loss.
        classes: for each categorical variable its number of logits.
    """

    squares: int
    binaries: int
    classes: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of outputs, O."""
        return self.squares + self.binaries + sum(self.classes)

    @property
    def spans(self) -> tuple[slice, ...]:
        """Where the logits of each categorical variable stand."""
        ends = np.cumsum([self.squares + self.binaries, *self.classes]).tolist()
        return tuple(slice(start, end) for start, end in pairwise(ends))

    def means(self, outputs: np.ndarray) -> np.ndarray:
        """Expected values of what raw outputs (..., O) describe, in place: log-odds and logits as probabilities."""
        part = outputs[..., self.squares : self.squares + self.binaries]
        part[...] = 0.5 + 0.5 * np.tanh(0.5 * part)
        for span in self.spans:
            part = outputs[..., span]
            part -= part.max(axis=-1, keepdims=True)
            np.exp(part, out=part)
            part /= part.sum(axis=-1, keepdims=True)
        return outputs


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """E networks from F inputs over H hidden units, twice, to O outputs.

    Attributes:
        layout: what the outputs are.
        weights: float32 arrays: W_1 (E, F, H), b_1 (E, 1, H), W_2, b_2, W_3 (E, H, O), b_3, and the linear
            map (E, F, O).
    """

    layout: Layout
    weights: tuple[np.ndarray, ...]

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Each member's expected values, float32 (E, n, O), of inputs (n, F)."""
        x = np.asarray(inputs, dtype=np.float32)
        first, first_bias, second, second_bias, last, last_bias, linear = self.weights
        hidden = x @ first
        hidden += first_bias
        hidden = np.maximum(hidden, 0.0, out=hidden) @ second
        hidden += second_bias
        outputs = np.maximum(hidden, 0.0, out=hidden) @ last
        outputs += last_bias
        outputs += x @ linear
        return self.layout.means(outputs)


def resamples(units: np.ndarray, members: int, random: np.random.Generator) -> np.ndarray:
    """How often each row is in each member's resample of whole units, int64 (E, N).

    Args:
        units: the unit of each row, (N,).
        members: E.
        random: draws the units, with replacement.
    """
    _, unit = np.unique(units, return_inverse=True)
    count = int(unit.max()) + 1
    drawn = random.integers(count, size=(members, count))
    return np.stack([np.bincount(line, minlength=count)[unit] for line in drawn])


def fit_ensemble(
    inputs: np.ndarray,
    targets: np.ndarray,
    layout: Layout,
    times: np.ndarray,
    random: np.random.Generator,
    *,
    hidden: int = 64,
    updates: int = 1000,
) -> Ensemble:
    """Fit every member on its resample, ``updates`` steps of Adam on batches of 256 rows.

    Args:
        inputs: float (N, F), finite.
        targets: float (N, O), as the layout says: numbers, 0 or 1, indicators of a class; NaN where not known.
        layout: what the targets are.
        times: int64 (E, N), see :func:`resamples`.
        random: initial weights and batches.
        hidden: H.
        updates: number of steps.
    """
    members, rows = times.shape
    initial = _initial(random, members, inputs.shape[1], hidden, layout.size)
    inside = [np.repeat(np.arange(rows), line) for line in times]
    outside = [np.flatnonzero(line == 0) if (line == 0).any() else np.arange(rows) for line in times]
    batches = np.stack([part[random.integers(len(part), size=(updates, BATCH))] for part in inside], axis=1)
    size = min(CHECKED, max(len(part) for part in outside))
    checked = np.stack([part[random.permutation(len(part))[np.arange(size) % len(part)]] for part in outside])
    with one_thread() as torch:
        x = torch.from_numpy(np.ascontiguousarray(inputs, dtype=np.float32))
        y = torch.from_numpy(np.ascontiguousarray(targets, dtype=np.float32))
        known = torch.isfinite(y).float()
        y = torch.nan_to_num(y)
        tensors = [torch.from_numpy(array).requires_grad_() for array in initial]
        first, second = ([torch.zeros_like(tensor) for tensor in tensors] for _ in range(2))
        best = [tensor.detach().clone() for tensor in tensors]
        lowest = torch.full((members,), torch.inf)
        held = torch.from_numpy(checked)
        for step, rows_of in enumerate(torch.from_numpy(batches), start=1):
            losses = _losses(torch, tensors, layout, x[rows_of], y[rows_of], known[rows_of])
            gradients = torch.autograd.grad(losses.sum(), tensors)
            with torch.no_grad():
                adam_step(tensors, gradients, first, second, step, LEARNING_RATE * (1.0 - (step - 1) / updates))
                if step % max(updates // CHECKS, 1) == 0 or step == updates:
                    scores = _losses(torch, tensors, layout, x[held], y[held], known[held])
                    better = scores < lowest
                    lowest = torch.where(better, scores, lowest)
                    for kept, tensor in zip(best, tensors, strict=True):
                        kept[better] = tensor[better]
        return Ensemble(layout, tuple(tensor.numpy() for tensor in best))


def _initial(random: np.random.Generator, members: int, inputs: int, hidden: int, outputs: int) -> list[np.ndarray]:
    """He-normal hidden layers (He et al. 2015), and nothing yet in what is added up to the outputs."""
    arrays = []
    for before, after, scale in ((inputs, hidden, 1.0), (hidden, hidden, 1.0), (hidden, outputs, 0.1)):
        weight = random.standard_normal((members, before, after)) * scale * np.sqrt(2.0 / before)
        arrays += [weight.astype(np.float32), np.zeros((members, 1, after), dtype=np.float32)]
    return [*arrays, np.zeros((members, inputs, outputs), dtype=np.float32)]


def _losses(torch: Any, tensors: Sequence[Any], layout: Layout, x: Any, y: Any, known: Any) -> Any:
    """Mean loss of each member, (E,), on its rows x (E, B, F), y and known (E, B, O)."""
    first, first_bias, second, second_bias, last, last_bias, linear = tensors
    hidden = torch.relu(torch.baddbmm(first_bias, x, first))
    hidden = torch.relu(torch.baddbmm(second_bias, hidden, second))
    outputs = torch.baddbmm(last_bias, hidden, last) + torch.bmm(x, linear)
    squares, binaries = slice(0, layout.squares), slice(layout.squares, layout.squares + layout.binaries)
    total = (0.5 * (outputs[..., squares] - y[..., squares]) ** 2 * known[..., squares]).sum((1, 2))
    if layout.binaries:
        logistic = torch.nn.functional.binary_cross_entropy_with_logits
        loss = logistic(outputs[..., binaries], y[..., binaries], weight=known[..., binaries], reduction="none")
        total = total + loss.sum((1, 2))
    for span in layout.spans:
        total = total - (torch.log_softmax(outputs[..., span], dim=-1) * y[..., span]).sum((1, 2))
    return total / x.shape[1]
