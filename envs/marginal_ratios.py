"""How much more often a policy is in a state at step t than the log was: w_t(s) = d^π_t(s) / d^b_t(s).

    w_0 = 1,   w_t(s') = E_b[ w_{t-1}(s) π(a|s) / b(a|s) | s_t = s' ]

The mean on the right is that of the step's own rows, shrunk with κ imagined rows to the ratio of two
chains that are played from the log's first states: one moves as the log did, the other as the policy
would. The chains count transitions of all steps alike and are smooth where a step has few rows; the
step's own mean is right also where behaviour or dynamics change with the step. By the step's counts
alone (κ = 0) the ratios of rare states are noise that every later step inherits.

References:
    Xie, Ma & Wang (2019), Towards optimal off-policy evaluation for reinforcement learning with
    marginalized importance sampling, section 3, for the chain; Kallus & Uehara (2020), Double
    reinforcement learning for efficient off-policy evaluation in Markov decision processes, for the
    recursion; the shrinkage between them is ours.
"""

from __future__ import annotations

import numpy as np

from envs.dataset import Dataset

STEP_SHRINKAGE = 30.0
ACTION_SHRINKAGE = 1.0


class MarginalRatios:
    """What the ratios of any policy are read from: the decisions and transitions of the fitted episodes.

    Args:
        dataset: the log.
        states: int64 (N + E,), state of each observation.
        fitted: bool (E,), the episodes that are read.
        horizon: H.
        shrinkage: κ ≥ 0, imagined rows of the chains' ratio in each state of each step.
        action_shrinkage: imagined rows with which a rarely taken action leads where its state's rows lead.
    """

    def __init__(
        self,
        dataset: Dataset,
        states: np.ndarray,
        fitted: np.ndarray,
        *,
        horizon: int,
        shrinkage: float = STEP_SHRINKAGE,
        action_shrinkage: float = ACTION_SHRINKAGE,
    ) -> None:
        self.size, self.actions, self.horizon = int(states.max()) + 1, len(dataset.specification.actions), horizon
        self.shrinkage, self.action_shrinkage = shrinkage, action_shrinkage
        self.decisions = np.flatnonzero(fitted[dataset.episode_index])
        self.states, steps = states[dataset.rows[self.decisions]], dataset.steps[self.decisions]
        self.by_step = np.argsort(steps, kind="stable")
        self.edges = np.searchsorted(steps[self.by_step], np.arange(horizon + 1))
        self.start = np.bincount(self.states[steps == 0], minlength=self.size) / max(int(fitted.sum()), 1)
        terminated = dataset.terminated[self.decisions]
        known = terminated | dataset.next_known[self.decisions]
        cells = self.states * self.actions + dataset.actions[self.decisions]
        counts = np.bincount(cells[known], minlength=self.size * self.actions)
        self.counts = counts.reshape(self.size, self.actions).astype(np.float64)
        going = known & ~terminated
        key = cells[going] * self.size + states[dataset.rows[self.decisions[going]] + 1]
        distinct, self.times = np.unique(key, return_counts=True)
        self.cells, self.next_states = distinct // self.size, distinct % self.size

    def table(self, probabilities: np.ndarray, ratios: np.ndarray) -> np.ndarray:
        """w of one policy, float64 (H, S); 1 where neither the log nor the policy ever is.

        Args:
            probabilities: float64 (N, A), the policy at each of the dataset's decisions.
            ratios: float64 (N,), policy's over behaviour's probability of each logged action.
        """
        prior = self._chain_ratios(probabilities)
        ratios = ratios[self.decisions]
        table, reached = np.ones((self.horizon, self.size)), np.ones(len(self.decisions))
        for step in range(self.horizon):
            index = self.by_step[self.edges[step] : self.edges[step + 1]]
            here = self.states[index]
            if step:
                # The decision before is the one before in the flat columns: same episode, one step less.
                total = np.bincount(here, weights=reached[index - 1], minlength=self.size).astype(np.float64)
                count = np.bincount(here, minlength=self.size) + self.shrinkage
                total += self.shrinkage * prior[step]
                table[step] = np.divide(total, count, out=prior[step].copy(), where=count > 0)
            before = table[step][here]
            after = before * ratios[index]
            # Given the state the action ratios have mean 1: the chance by which they have not is taken out.
            reached[index] = after * (before.sum() / after.sum()) if after.any() else after
        return table

    def _chain_ratios(self, probabilities: np.ndarray) -> np.ndarray:
        """The policy's chain over the log's, float64 (H, S)."""
        visits = np.maximum(np.bincount(self.states, minlength=self.size), 1)[:, None]
        chosen = probabilities[self.decisions].T
        policy = np.stack([np.bincount(self.states, weights=each, minlength=self.size) for each in chosen], axis=1)
        own = np.where(self.counts > 0, policy / visits / np.maximum(self.counts + self.action_shrinkage, 1e-300), 0.0)
        pooled = (1.0 - (own * self.counts).sum(axis=1)) / np.maximum(self.counts.sum(axis=1), 1.0)
        states = self.cells // self.actions
        as_policy = self.times * (own.ravel()[self.cells] + pooled[states])
        as_logged = self.times / np.maximum(self.counts.sum(axis=1), 1.0)[states]
        ours, theirs = np.asarray(self.start), np.asarray(self.start)
        table = np.ones((self.horizon, self.size))
        for step in range(1, self.horizon):
            ours = self._moved(ours[states] * as_policy)
            theirs = self._moved(theirs[states] * as_logged)
            np.divide(ours, theirs, out=table[step], where=theirs > 0)
        return table

    def _moved(self, mass: np.ndarray) -> np.ndarray:
        """Mass on the distinct transitions as mass on the states they lead to, float64 (S,)."""
        return np.bincount(self.next_states, weights=mass, minlength=self.size).astype(np.float64)


def with_ends(weights: np.ndarray, active: np.ndarray) -> np.ndarray:
    """The weights of each step, float64 (E, H), those of episodes that have ended among them.

    Being at an end is a state like any other and the weights of a step have mean 1: the ended share what
    those still running leave.

    Args:
        weights: float64 (E, H), state ratio times action ratio; read where active.
        active: bool (E, H).
    """
    running = np.where(active, weights, 0.0)
    left = np.maximum(len(weights) - running.sum(axis=0), 0.0) / np.maximum((~active).sum(axis=0), 1)
    return np.where(active, running, left)
