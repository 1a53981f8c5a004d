"""Do the actions of one episode reach the later ones of its unit? If so, episodes are no decision process of their own.

A policy is valued as if it decided in one episode and the log's policy in all others. Where episodes of one day
share a queue, a budget or an audience, that is another question than the one that a promotion answers.

What was drawn and how likely it was tells: given the past, an episode's excess x_k = Σ_t (1{a_t = k} - b_k(s_t))
has mean 0, so it is uncorrelated with whatever it cannot reach. Where nothing carries over, the products of all
earlier excesses of the unit with the return of the present episode have mean 0 unit by unit, whatever shocks,
trends and seasons a unit's returns share: a randomisation test, which assumes the logged probabilities and
nothing about the world.

Reference: Bojinov, Simchi-Levi & Zhao (2023), Design and analysis of switchback experiments, section 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from envs.dataset import Dataset

LEVEL = 5e-4
LEAST_EFFECT = 0.005
"""Share of the returns' spread within units; a smaller one moves no estimate by more than its own error."""
MINIMUM_UNITS = 50


@dataclass(frozen=True, slots=True)
class CarryOver:
    """Whether actions reach later episodes of their unit.

    Attributes:
        p_value: of the action that decides, times the number of actions; NaN where nothing could be tested.
        effect: share of the spread of returns within units that earlier actions explain.
        action: index of that action; -1 where nothing could be tested.
    """

    p_value: float
    effect: float
    action: int

    @property
    def found(self) -> bool:
        """Whether they do."""
        return self.p_value < LEVEL and self.effect >= LEAST_EFFECT

    def sentence(self, action: str) -> str:
        """What was found, of the named action."""
        return (
            f"how often {action} was taken earlier in a unit explains {100 * self.effect:.2g} % of the returns of its "
            f"later episodes (p = {self.p_value:.1g})"
        )


NOTHING = CarryOver(math.nan, 0.0, -1)


def carry_over(dataset: Dataset) -> CarryOver:
    """Test whether the actions of earlier episodes of a unit move the returns of later ones.

    Only units with several episodes and logged probabilities of all actions can tell; else nothing is tested.

    Args:
        dataset: the rows that may be read, rewards too; for a number on ``final``, train and select.
    """
    probabilities = dataset.action_probabilities
    if not dataset.episode_count or not np.isfinite(probabilities).all():
        return NOTHING
    order, begins = _in_order(dataset)
    lengths = np.diff(np.append(begins, len(order)))
    if (lengths > 1).sum() < MINIMUM_UNITS:
        return NOTHING
    taken = np.zeros(probabilities.shape)
    taken[np.arange(len(dataset)), dataset.actions] = 1.0
    excess = np.add.reduceat(taken - probabilities, dataset.offsets[:-1])[order]
    returns = np.bincount(dataset.episode_index, dataset.rewards, dataset.episode_count)[order]
    unit = np.repeat(np.arange(len(begins)), lengths)
    running = np.cumsum(excess, axis=0)
    earlier = running - excess - (running - excess)[begins][unit]
    # Any constant that knows only other units keeps the products' mean at 0, and takes the common level out.
    outcome = returns - (returns.sum() - np.bincount(unit, returns)[unit]) / (len(returns) - lengths[unit])
    products = np.stack([np.bincount(unit, column) for column in (earlier * outcome[:, None]).T], axis=1)
    squares = np.sqrt((products**2).sum(axis=0))
    scores = np.divide(products.sum(axis=0), squares, out=np.zeros(len(squares)), where=squares > 0.0)
    action = int(np.argmax(np.abs(scores)))
    chance = min(2.0 * len(scores) * NormalDist().cdf(-abs(float(scores[action]))), 1.0)
    spread = (earlier[:, action] ** 2).sum() * (outcome**2).sum()
    effect = float(products[:, action].sum() ** 2 / spread) if spread > 0.0 else 0.0
    return CarryOver(chance, effect, action)


def _in_order(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Episodes unit by unit in the order of their beginnings, and where each unit begins among them."""
    times = np.asarray(dataset.timestamps[dataset.offsets[:-1]], dtype=np.float64)
    unit = np.unique(dataset.units, return_inverse=True)[1]
    order = np.lexsort((np.arange(dataset.episode_count), times, unit))
    _, begins = np.unique(unit[order], return_index=True)
    return order, begins
