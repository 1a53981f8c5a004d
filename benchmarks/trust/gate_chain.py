"""Choose on ``select`` as ``tune`` does and gate on ``final``, for many variants of one simulated log at once.

Only the choice is vectorised over variants here; the gate's own code judges the finalists. A test
compares the choice with the judge's numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from algorithms.ope.cross_fitting import folds_of
from algorithms.ope.estimate import Estimate
from algorithms.ope.fitted_q_evaluation import return_bounds
from algorithms.ope.intervals import unit_values
from algorithms.ope.overlap import effective_sample_size
from algorithms.ope.padding import pad
from algorithms.ope.state_action_models import TabularModel
from algorithms.ope.support import short_weights
from benchmarks.trust.worlds import on_rows
from envs.dataset import Dataset
from tune_configs.gate.decision import decide
from tune_configs.gate.evidence import Sides, gate_request
from tune_configs.gate.finalists import finalists
from tune_configs.gate.request import GateDecision
from tune_configs.judge import FOLDS, SELECT_RULE, episodes_in

DRAWS = 20_000


def select_gains(dataset: Dataset, champion: np.ndarray, variants: np.ndarray, sides: Sides) -> list[Estimate]:
    """The paired gain of V variants over observations (V, O, A) on the select episodes, with 95 % intervals.

    Args:
        dataset: train and select episodes of an agent that observes an integer.
        champion: float64 (O, A).
        variants: float64 (V, O, A).
        sides: of those episodes.
    """
    policies = np.concatenate([champion[None], variants])
    subset = dataset.select_episodes(sides.selected)
    horizon, discount = dataset.specification.horizon, dataset.specification.discount
    states = pad(subset, subset.observations[subset.rows, 0].astype(np.int64), horizon)
    actions, active = pad(subset, subset.actions, horizon), pad(subset, np.ones(len(subset), dtype=bool), horizon)
    rewards, behaviour = pad(subset, subset.rewards, horizon), pad(subset, subset.propensities, horizon)
    with np.errstate(divide="ignore"):
        ratios = np.where(active, np.log(policies[:, states, actions]) - np.log(np.where(active, behaviour, 1.0)), 0.0)
    q, v = _values(dataset, policies, sides, states, actions, active)
    residuals = np.where(active, rewards + discount * v[:, :, 1:] - q, 0.0)
    weights = np.exp(np.cumsum(ratios, axis=2))
    found = v[:, :, 0] + (weights * residuals) @ discount ** np.arange(horizon)
    units = None if dataset.specification.unit == "episode" else subset.units
    totals = ratios.sum(axis=2)
    reached = [effective_sample_size(_by_unit(total, units)) for total in totals]
    short = [short_weights(np.exp(total), units) for total in totals]
    return [
        _estimate(unit_values(found[k] - found[0], units), reached[k], reached[0], short[k] or short[0])
        for k in range(1, len(policies))
    ]


def _values(
    dataset: Dataset, policies: np.ndarray, sides: Sides, states: np.ndarray, actions: np.ndarray, active: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Cross-fitted Q̂ (P, E', H) and V̂ (P, E', H + 1) of the selected episodes, by tables over (state, action).

    What :func:`algorithms.ope.cross_fitting.cross_fit` gives with a table, for policies that are tables
    themselves: every episode here terminates or reaches the horizon, so that nothing is bootstrapped after its end.
    """
    specification, size = dataset.specification, policies.shape[1:]
    episode, following = dataset.episode_index, dataset.observations[dataset.rows + 1, 0].astype(np.int64)
    cell = dataset.observations[dataset.rows, 0].astype(np.int64) * size[1] + dataset.actions
    selected = np.flatnonzero(sides.selected)
    fold = np.full(dataset.episode_count, -1)
    fold[selected] = folds_of(dataset.units[selected], FOLDS)
    q = np.zeros((len(policies), *states.shape))
    v = np.zeros((len(policies), len(states), states.shape[1] + 1))
    for number in range(FOLDS):
        use = (sides.fitted & (fold != number))[episode]
        counts = np.bincount(cell[use], minlength=size[0] * size[1]).astype(np.float64).reshape(size)
        earned = np.bincount(cell[use], dataset.rewards[use], size[0] * size[1]).reshape(size)
        going = use & ~dataset.terminated
        moved = np.bincount(cell[going] * size[0] + following[going], minlength=counts.size * size[0])
        moved = specification.discount * moved.reshape(*size, size[0]).astype(np.float64)
        here = np.flatnonzero(fold[selected] == number)
        values = np.zeros((len(policies), *size))
        for to_go in range(1, specification.horizon + 1):
            ahead = (policies * values).sum(axis=2)
            sums = earned + np.einsum("sat,pt->psa", moved, ahead)
            overall = sums.sum(axis=(1, 2)) / counts.sum()
            means = (sums.sum(axis=2) + overall[:, None]) / (counts.sum(axis=1) + 1.0)
            values = (sums + means[:, :, None]) / (counts + 1.0)
            if bounds := return_bounds(specification.reward_range, to_go, specification.discount):
                values = np.clip(values, *bounds)
            step = specification.horizon - to_go
            at, taken = states[here, step], actions[here, step]
            q[:, here, step] = values[:, at, taken]
            v[:, here, step] = (policies[:, at] * values[:, at]).sum(axis=2)
    return np.where(active, q, 0.0), np.where(np.pad(active, ((0, 0), (0, 1))), v, 0.0)


def gate_decisions(
    dataset: Dataset,
    champion: np.ndarray,
    variants: np.ndarray,
    looks: Sequence[int],
    *,
    sides: Sides | None = None,
    counts: Sequence[int] = (),
) -> dict[tuple[int, int], tuple[GateDecision, tuple[int, ...]] | None]:
    """Choose among the first V variants and gate, for each V of ``counts`` and each look.

    Args:
        dataset: a log of grade A of an agent that observes an integer.
        champion: float64 (O, A).
        variants: float64 (V, O, A).
        looks: numbers of the look.
        sides: who does what; the splits by default.
        counts: how many variants take part; all by default.

    Returns:
        By (V, look) the decision and the finalists' indices, or ``None`` where no variant became a finalist.
    """
    if sides is None:
        sides = Sides(
            episodes_in(dataset, "final"), episodes_in(dataset, "select"), episodes_in(dataset, "train", "select")
        )
    known = np.flatnonzero(sides.fitted)
    early = Sides(*(side[known] for side in (sides.tested, sides.selected, sides.fitted)))
    gains = select_gains(dataset.select_episodes(sides.fitted), champion, variants, early)
    model = {"table": _table(dataset, champion)}
    found: dict[tuple[int, int], tuple[GateDecision, tuple[int, ...]] | None] = {}
    for count in counts or (len(variants),):
        chosen = finalists(gains[:count])
        if not chosen:
            found |= {(count, look): None for look in looks}
            continue
        rows = on_rows(dataset, np.concatenate([champion[None], variants[list(chosen)]]))
        request = gate_request(dataset, rows[0], rows[1:], sides, grade="A", look=looks[0], models=model)
        unplanned = replace(request, draws=DRAWS, planning=replace(request.planning, resamples=0))
        for look in looks:
            found[count, look] = decide(replace(unplanned, look=look)), chosen
    return found


def _table(dataset: Dataset, champion: np.ndarray) -> TabularModel:
    return TabularModel(dataset.observations[:, 0].astype(np.int64), *champion.shape)


def _by_unit(log_weights: np.ndarray, units: np.ndarray | None) -> np.ndarray:
    if units is None:
        return log_weights
    _, code = np.unique(units, return_inverse=True)
    return np.log(np.bincount(code, np.exp(log_weights)))


def _estimate(differences: np.ndarray, effective: float, champion_effective: float, short: str) -> Estimate:
    count = len(differences)
    value, error = float(differences.mean()), float(differences.std(ddof=1)) / np.sqrt(count)
    reach = float(stats.t.ppf(0.975, count - 1)) * error
    refused = SELECT_RULE.refusal(effective, count) or SELECT_RULE.refusal(champion_effective, count) or short
    return Estimate(
        value=value,
        lower=value - reach,
        upper=value + reach,
        confidence=0.95,
        estimator="paired_doubly_robust",
        effective_sample_size=effective,
        units=count,
        refused=refused,
    )
