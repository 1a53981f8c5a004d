"""The mathematics of tabular Q-learning on a log: pure functions on arrays, one sweep over all rows at once.

Shapes: N transitions, Z discrete states, A actions. The sweep is

    Q(z, a) ← mean over the cell's rows of [ r + γ (1 − terminated) V'(row) ]

where V' is the value that the policy will have from the row's next observation on. A sweep with a fixed
policy is a γ-contraction (every unseen pair is filled by an average of backed-up targets).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

SHRINKAGE = 5.0
"""Pseudo rows with the pooled variance that every cell's variance is shrunk with."""
TOLERANCE = 1e-9
"""Smallest advantage (relative to the largest value) that counts as positive; below it is rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Transitions:
    """What one half of the log, or all of it, says about the discrete decision process.

    Attributes:
        cells: int64 (N,), state · A + action.
        rewards: float64 (N,).
        next_states: int64 (N,), in [0, Z); anything where terminated.
        terminated: bool (N,).
        next_base: float64 (N, A), the base policy at the next observation, or ``None`` (not anchored).
        next_allowed: bool (N, A), or ``None`` where everything is allowed.
        imagined: bool (N,), rows that were completed and not logged, or ``None``.
        state_count: Z.
        action_count: A.
    """

    cells: np.ndarray
    rewards: np.ndarray
    next_states: np.ndarray
    terminated: np.ndarray
    state_count: int
    action_count: int
    next_base: np.ndarray | None = None
    next_allowed: np.ndarray | None = None
    imagined: np.ndarray | None = None

    def sums(self, values: np.ndarray | None = None) -> np.ndarray:
        """Sum of ``values`` (or the number of rows) by cell, float64 (Z, A)."""
        size = self.state_count * self.action_count
        flat = np.bincount(self.cells, values, size).astype(np.float64)
        return flat.reshape(self.state_count, self.action_count)

    @property
    def logged(self) -> np.ndarray:
        """Which rows were logged and not completed, bool (N,)."""
        return np.ones(len(self.cells), dtype=bool) if self.imagined is None else ~self.imagined

    @property
    def counts(self) -> np.ndarray:
        """Logged rows by cell, float64 (Z, A)."""
        return self.sums(self.logged.astype(np.float64))

    def select(self, chosen: np.ndarray) -> Transitions:
        """The chosen rows (bool (N,))."""
        return replace(
            self,
            cells=self.cells[chosen],
            rewards=self.rewards[chosen],
            next_states=self.next_states[chosen],
            terminated=self.terminated[chosen],
            next_base=None if self.next_base is None else self.next_base[chosen],
            next_allowed=None if self.next_allowed is None else self.next_allowed[chosen],
            imagined=None if self.imagined is None else self.imagined[chosen],
        )


def cell_values(transitions: Transitions, targets: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Mean target by cell, (Z, A); a pair without rows takes its state's mean, a state without rows the mean of all.

    Args:
        transitions: the log.
        targets: float64 (N,).
        rows: float64 (Z, A), ``transitions.sums()``.
    """
    sums = transitions.sums(targets)
    total, by_state = rows.sum(), rows.sum(axis=1, keepdims=True)
    overall = sums.sum() / max(total, 1.0)
    state_mean = np.where(by_state > 0, sums.sum(axis=1, keepdims=True) / np.maximum(by_state, 1.0), overall)
    return np.where(rows > 0, sums / np.maximum(rows, 1.0), state_mean)


def squared_errors(transitions: Transitions, targets: np.ndarray, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Squared standard error of each cell's mean, (Z, A); infinite where there are no rows.

    The residual variance of the target in the cell is shrunk towards the pooled one with
    :data:`SHRINKAGE` pseudo rows, so that a cell of one row is not believed exact. The error of V'
    itself is not in it.
    """
    residuals = targets - values.ravel()[transitions.cells]
    squares = transitions.sums(residuals * residuals)
    pooled = squares.sum() / max(rows.sum() - np.count_nonzero(rows), 1.0)
    variance = (squares + SHRINKAGE * pooled) / (np.maximum(rows - 1.0, 0.0) + SHRINKAGE)
    return np.where(rows > 0, variance / np.maximum(rows, 1.0), np.inf)


def improvement_moves(
    values: np.ndarray, errors: np.ndarray, counts: np.ndarray, pessimism: float, minimum_count: float
) -> np.ndarray:
    """To which action the mass of each base action moves, int64 (Z, A); b itself where nothing is surely better.

    M[z, b] = argmax over a with n(z, a) ≥ minimum of Q(z, a) − Q(z, b) − κ √(se²(z, a) + se²(z, b)), if that
    is positive (a lower bound of the advantage: SPIBB, Laroche et al. 2019, with a bound for its count
    threshold). An action b that was never taken in z keeps its mass: nothing is known of what leaving it gains.

    Args:
        values: Q, (Z, A).
        errors: squared standard errors, (Z, A).
        counts: logged rows, (Z, A).
        pessimism: κ, in standard errors.
        minimum_count: rows an action needs before mass may move to it.
    """
    known = np.where(np.isfinite(errors), errors, 0.0)
    gain = values[:, None, :] - values[:, :, None]  # [z, b, a]
    gain = gain - pessimism * np.sqrt(known[:, None, :] + known[:, :, None])
    possible = ((counts >= max(minimum_count, 1.0))[:, None, :]) & (counts > 0)[:, :, None]
    gain = np.where(possible, gain, -np.inf)
    actions = np.arange(values.shape[1])
    gain[:, actions, actions] = -np.inf
    best = gain.argmax(axis=2)
    better = np.take_along_axis(gain, best[:, :, None], axis=2)[:, :, 0] > TOLERANCE * (1.0 + np.abs(values).max())
    return np.where(better, best, actions)


def greedy_table(
    values: np.ndarray,
    errors: np.ndarray,
    counts: np.ndarray,
    pessimism: float,
    minimum_count: float,
    temperature: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The action of the largest lower bound Q − κ se among those seen often enough, as probabilities.

    States without such an action are uncertain: they take the log's action frequencies of the state, and of
    all states where the state has no rows, or softmax(Q / temperature) there when a completed model has values.

    Returns:
        Probabilities (Z, A) and bool (Z,), which states are uncertain.
    """
    bound = values - pessimism * np.sqrt(np.where(np.isfinite(errors), errors, 0.0))
    possible = counts >= max(minimum_count, 1.0)
    table = np.zeros(values.shape)
    table[np.arange(len(values)), np.where(possible, bound, -np.inf).argmax(axis=1)] = 1.0
    uncertain = np.asarray(~possible.any(axis=1))
    by_state = counts.sum(axis=1, keepdims=True)
    everything, actions = counts.sum(), counts.shape[1]
    overall = counts.sum(axis=0) / everything if everything else np.full(actions, 1.0 / actions)
    spread = np.where(by_state > 0, counts / np.maximum(by_state, 1.0), overall)
    if temperature is not None:
        reachable = np.where(np.isfinite(errors), values, -np.inf)
        best = reachable.max(axis=1, keepdims=True)
        soft = np.exp((reachable - np.where(np.isfinite(best), best, 0.0)) / temperature)
        soft = np.where(np.isfinite(best), soft, overall)
        spread = np.where(by_state > 0, spread, soft / soft.sum(axis=1, keepdims=True))
    table[uncertain] = spread[uncertain]
    return table, uncertain


def moved_values(transitions: Transitions, values: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Anchored V', (N,): Σ_b base'(row, b) · Q[z', M[z', b]]; mass whose target is not allowed stays at b."""
    assert transitions.next_base is not None
    following = transitions.next_states
    gathered = np.take_along_axis(values, moves, axis=1)[following]
    if transitions.next_allowed is not None:
        allowed = np.take_along_axis(transitions.next_allowed, moves[following], axis=1)
        gathered = np.where(allowed, gathered, values[following])
    return np.asarray(np.einsum("na,na->n", transitions.next_base, gathered))


def table_values(transitions: Transitions, values: np.ndarray, table: np.ndarray) -> np.ndarray:
    """V' under a table of probabilities, (N,), restricted to the allowed actions as the artefact restricts it."""
    following = transitions.next_states
    if transitions.next_allowed is None:
        return np.asarray((table * values).sum(axis=1)[following])
    kept = table[following] * transitions.next_allowed
    total = kept.sum(axis=1, keepdims=True)
    uniform = transitions.next_allowed / np.maximum(transitions.next_allowed.sum(axis=1, keepdims=True), 1)
    return np.asarray((np.divide(kept, total, out=uniform, where=total > 0) * values[following]).sum(axis=1))


def uniform_values(transitions: Transitions, values: np.ndarray) -> np.ndarray:
    """V' of a uniform draw over the allowed actions, (N,): what the exploration floor is worth."""
    following = transitions.next_states
    if transitions.next_allowed is None:
        return np.asarray(values.mean(axis=1)[following])
    share = transitions.next_allowed / np.maximum(transitions.next_allowed.sum(axis=1, keepdims=True), 1)
    return np.asarray((share * values[following]).sum(axis=1))


def targets_of(
    transitions: Transitions, values: np.ndarray, policy: np.ndarray, discount: float, floor: float = 0.0
) -> np.ndarray:
    """r + γ (1 − terminated) V', float64 (N,).

    Args:
        transitions: the log.
        values: Q that values the policy, (Z, A).
        policy: moves (Z, A) of integers, or a table (Z, A) of probabilities.
        discount: γ.
        floor: share e of uniform exploration in the policy that will act (expected Sarsa, van Seijen et
            al. 2009): V' is (1 − e) of the policy's and e of a uniform draw's.
    """
    if discount == 0.0:
        return transitions.rewards
    value = moved_values if policy.dtype.kind in "iu" else table_values
    following = value(transitions, values, policy)
    if floor > 0.0:
        following = (1.0 - floor) * following + floor * uniform_values(transitions, values)
    return np.asarray(transitions.rewards + discount * np.where(transitions.terminated, 0.0, following))
