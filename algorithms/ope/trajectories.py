"""Logged trajectories of one evaluation, padded to the horizon: what every estimator reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Trajectories:
    """E units of at most H decisions, float64, zero after a unit's end.

    Attributes:
        rewards: (E, H).
        log_ratios: (E, H), log of target over behaviour probability of the logged action;
            0 after the end; -inf where the target never takes the action.
        active: bool (E, H), whether the unit still ran at that step.
        discount: discount per decision.
        q_values: (E, H), model value of the logged action under the target, or ``None``.
        v_values: (E, H + 1), model value of the state under the target, 0 from the end on, or ``None``.
        state_log_ratios: (E, H), log of the target's over the log's density of the state at that step;
            0 after the end; or ``None``.
        markov: whether states were shown to hold all that matters (a passed history test): what
            ``state_log_ratios`` weigh is else a model's word.
        rest: (E, 2), the least and the largest value of what follows the last decision of an episode that was cut
            before the horizon, as of that time; NaN where none was; ``None`` where it is not bounded.
        at_random: whether the ratios weigh for episodes that were cut, as by chance: every estimate says so.
        estimated: whether the behaviour's probabilities are estimated: every estimate says so, and that a mean weight
            is 1 is nothing to count on.
        unsupported: (E, H, A), the target's probabilities of actions that the log gave none at that step, else 0;
            ``None`` where there is none (:mod:`algorithms.ope.support`).
        blind: bool (E,), episodes that were cut with no observation after the last decision, whose rest is bounded:
            their last model value is one that corrects nothing; ``None`` where there is none.
    """

    rewards: np.ndarray
    log_ratios: np.ndarray
    active: np.ndarray
    discount: float = 1.0
    q_values: np.ndarray | None = None
    v_values: np.ndarray | None = None
    state_log_ratios: np.ndarray | None = None
    markov: bool = False
    rest: np.ndarray | None = None
    at_random: bool = False
    estimated: bool = False
    unsupported: np.ndarray | None = None
    blind: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def horizon(self) -> int:
        """Number of steps, H."""
        return self.rewards.shape[1]

    @property
    def discounts(self) -> np.ndarray:
        """γ to the power of the step, float64 (H,)."""
        return self.discount ** np.arange(self.horizon)

    @property
    def explained(self) -> np.ndarray:
        """Decisions after which the model has a value, bool (E, H): the active ones but the last of ``blind`` ones."""
        if self.blind is None:
            return self.active
        found, cut = self.active.copy(), np.flatnonzero(self.blind)
        found[cut, self.active[cut].sum(axis=1) - 1] = False
        return found

    @property
    def cumulative_weights(self) -> np.ndarray:
        """Π of the ratios up to and with each step, (E, H); constant after the unit's end."""
        with np.errstate(over="ignore"):  # what overflows is refused for lack of overlap
            return np.exp(np.cumsum(self.log_ratios, axis=1))

    @property
    def weights(self) -> np.ndarray:
        """Whole-trajectory importance weights, (E,)."""
        return self.cumulative_weights[:, -1]

    @property
    def returns(self) -> np.ndarray:
        """Discounted returns of the log, (E,)."""
        return self.rewards @ self.discounts
