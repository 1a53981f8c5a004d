"""From a dataset to what a Q-network learns from: encoded rows, and n-step transitions between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.policy.mixing import restrict
from envs.dataset import Dataset
from envs.encoding import StandardFeatures
from envs.errors import DataError
from envs.usual_reward import usual_reward

INTERQUARTILE = 1.349
"""Interquartile range of a standard normal distribution."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """N' learnable transitions; rows index the M = N + E rows of the dataset.

    Attributes:
        features: float32 (M, F); 0 in rows that nothing is learned from.
        allowed: bool (M, A), or ``None`` where everything is allowed.
        base: float32 (M, A), the policy to improve over the allowed actions, or ``None``.
        rows: int64 (N',).
        next_rows: int64 (N',); the own row where terminated.
        actions: int64 (N',).
        rewards: float32 (N',), in scaled units.
        lengths: int64 (N',), n of each transition.
        terminated: bool (N',).
        centre: what a scaled value of 0 stands for.
        scale: what a scaled value of 1 is more.
    """

    features: np.ndarray
    allowed: np.ndarray | None
    base: np.ndarray | None
    rows: np.ndarray
    next_rows: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    lengths: np.ndarray
    terminated: np.ndarray
    centre: float
    scale: float


def returns_to_go(dataset: Dataset, discount: float) -> np.ndarray:
    """Σ_k γᵏ r_{t+k} to the end of the episode, float64 (N,); nothing is added after a truncation."""
    out = np.array(dataset.rewards, dtype=np.float64)
    # All episodes step back together: what has exactly k decisions after it looks at its successor, done before.
    for after in range(1, int(dataset.lengths.max(initial=0))):
        here = dataset.offsets[1:][dataset.lengths > after] - 1 - after
        out[here] += discount * out[here + 1]
    return out


def spread(values: np.ndarray, fallback: float) -> float:
    """A robust standard deviation: interquartile, else the plain one, else the fallback."""
    low, high = np.quantile(values, [0.25, 0.75])
    for found in ((high - low) / INTERQUARTILE, float(values.std())):
        if found > 1e-9 * (1.0 + float(np.abs(values).max())):
            return float(found)
    return fallback


def n_step_transitions(
    dataset: Dataset, known: np.ndarray, *, discount: float, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Transitions of at most ``steps`` decisions inside one episode.

    A truncated decision bootstraps, a terminated one does not, and with a horizon of one decision every
    decision is an end. A transition is as long as possible: it ends earlier where the row behind it is not
    known, and is left out where none of its ends is.

    Args:
        dataset: the log.
        known: bool (N + E,), rows that can be bootstrapped from.
        discount: γ.
        steps: n.

    Returns:
        The decisions that can be learned, int64 (N',); their number of steps, int64; their returns
        Σ γᵏ r_k, float64; whether they terminate, bool; and the rows behind them, int64.
    """
    count = len(dataset)
    ends = np.repeat(dataset.offsets[1:], dataset.lengths)
    over = np.asarray(dataset.terminated) | (dataset.specification.horizon == 1)
    follows = np.asarray(dataset.next_known) & known[dataset.rows + 1]
    length, total = np.zeros(count, dtype=np.int64), np.zeros(count)
    running = np.zeros(count)
    for step in range(1, (1 if dataset.specification.horizon == 1 else steps) + 1):
        last = np.arange(count) + step - 1
        inside = last < ends
        last = np.where(inside, last, 0)
        running += np.where(inside, discount ** (step - 1) * dataset.rewards[last], 0.0)
        usable = inside & (over[last] | follows[last])
        length, total = np.where(usable, step, length), np.where(usable, running, total)
    chosen = np.flatnonzero(length > 0)
    last = chosen + length[chosen] - 1
    return chosen, length[chosen], total[chosen], over[last], dataset.rows[last] + 1


def learnable(
    dataset: Dataset, encoder: StandardFeatures, *, discount: float, steps: int, base: np.ndarray | None = None
) -> Columns:
    """The columns of a dataset.

    Values are learned as (Q − centre) / scale, with the median and spread of the log's own returns: an
    exact change of variable that only makes the numbers a network's size. The reward that belongs to it is

        R' = (R − centre + γⁿ (1 − terminated) centre) / scale

    Args:
        dataset: the log.
        encoder: of its raw rows.
        discount: γ.
        steps: n of the n-step returns.
        base: probabilities (N + E, A) of the policy to improve, NaN where not known; a row without them is not
            bootstrapped from. ``None`` where the policy stands alone.

    Raises:
        DataError: no transition can be learned, or the base is known nowhere.
    """
    where = f"agent {dataset.specification.name}"
    if base is not None and np.isnan(base).any(axis=1).all():
        raise DataError(
            "the policy to improve is not known at any decision",
            where=where,
            remedy='declare rule = "module:function", record through Agent, or use anchored=False',
        )
    features = encoder.features(dataset.observations)
    seen = ~np.isnan(features).any(axis=1)
    bootstraps = seen if base is None or discount == 0.0 else seen & ~np.isnan(base).any(axis=1)
    chosen, length, total, terminated, behind = n_step_transitions(dataset, bootstraps, discount=discount, steps=steps)
    keep = seen[dataset.rows[chosen]]
    if not keep.any():
        raise DataError("no decision has a known next observation", where=where, remedy="log next observations")
    chosen, length, total, terminated, behind = (each[keep] for each in (chosen, length, total, terminated, behind))
    rows = dataset.rows[chosen]
    returns = returns_to_go(dataset, discount)[chosen]
    centre, scale = float(np.median(returns)), spread(returns, usual_reward(dataset.rewards))
    discounts = discount**length
    allowed = np.array(dataset.allowed, dtype=bool)
    allowed[~allowed.any(axis=1)] = True
    if base is not None:
        blind = np.isnan(base).any(axis=1)
        base = restrict(np.where(blind[:, None], 1.0 / base.shape[1], base), allowed).astype(np.float32)
    return Columns(
        features=np.where(seen[:, None], features, 0.0).astype(np.float32),
        allowed=None if allowed.all() else allowed,
        base=base,
        rows=rows,
        next_rows=np.where(terminated, rows, behind),
        actions=np.asarray(dataset.actions[chosen], dtype=np.int64),
        rewards=((total - centre + discounts * ~terminated * centre) / scale).astype(np.float32),
        lengths=length,
        terminated=terminated,
        centre=centre,
        scale=scale,
    )
