"""Propensities of a log that an A/B test wrote: the mixture of the arms, not the arm that happened to act.

    b(a_t | h_t) = Σ_k p_k Π_{j≤t} b_k(a_j | h_j) / Σ_k p_k Π_{j<t} b_k(a_j | h_j)

Their product over an episode is Σ_k p_k Π_t b_k, the probability with which the test took its actions.
The ratio to it is the conditional mean, given the episode, of the ratio to the arm's own probability:
never of larger variance over whole trajectories (Rao-Blackwell), and unbiased already where one arm
takes an action, while the arm's own ratio misses whatever any arm never takes.

References:
    Agarwal, Basu, Schnabel & Joachims (2017), Effective evaluation using logged bandit feedback from
    multiple loggers, section 4 (balanced estimator); Veach & Guibas (1995), balance heuristic; over
    sequences: Precup, Sutton & Singh (2000), section 3, with the mixture as the behaviour.
"""

from __future__ import annotations

import numpy as np

from envs.dataset import Dataset
from envs.errors import DataError

WHERE = "mixture_propensities"


def mixture_propensities(dataset: Dataset, arm_probabilities: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Probability of each logged action given the episode so far, under the mixture of the arms.

    Pass them as ``propensities=`` to :func:`algorithms.ope.padding.trajectories_from`. They depend on
    the episode's past, not on the state alone: estimators that weigh states (marginalised ones) must
    not take them for b(a | s).

    An arm that is drawn once for a unit of several episodes (sticky assignment) needs nothing else: an
    episode's own law is the mixture with the same shares. That a unit's episodes then depend on each
    other is for the interval (``units=``).

    Args:
        dataset: the log.
        arm_probabilities: float64 (K, N), the probability of the logged action under each arm, whether
            or not that arm acted.
        shares: float64 (K,), with which an episode's arm was drawn, or (K, E) where they changed over
            time (ramps); known before the draw. Normalised to sum to 1.

    Returns:
        float64 (N,), in (0, 1].

    Raises:
        DataError: shapes disagree, something is no probability, or no arm with a share takes a logged action.
    """
    arms = np.asarray(arm_probabilities, dtype=np.float64)
    weights = np.asarray(shares, dtype=np.float64)
    count, episodes = len(dataset), dataset.episode_count
    if arms.ndim != 2 or arms.shape[1] != count or weights.shape not in ((len(arms),), (len(arms), episodes)):
        raise DataError(
            f"arm probabilities have shape {arms.shape} and shares {weights.shape}, "
            f"the log has {count} decisions in {episodes} episodes",
            where=WHERE,
            remedy="give (arms, decisions) and (arms,) or (arms, episodes)",
        )
    if not (np.all((arms >= 0) & (arms <= 1)) and np.all(weights >= 0) and np.all(weights.sum(axis=0) > 0)):
        raise DataError(
            "an arm's probability is outside [0, 1], or a share is negative or all are 0",
            where=WHERE,
            remedy="give the probability of the logged action under each arm, and the shares of the draw",
        )
    with np.errstate(divide="ignore"):
        logs, prior = np.log(arms), np.log(weights / weights.sum(axis=0))
    # Log of p_k Π b_k so far, less its logarithmic sum: the arms' posterior, which never underflows.
    posterior = np.broadcast_to(prior if prior.ndim == 2 else prior[:, None], (len(arms), episodes)).copy()
    out = np.empty(count)
    lengths, running = dataset.lengths, np.arange(episodes)
    for step in range(int(lengths.max(initial=0))):
        running = running[lengths[running] > step]
        rows = dataset.offsets[running] + step
        joint = posterior[:, running] + logs[:, rows]
        conditional = np.logaddexp.reduce(joint, axis=0)
        impossible = np.flatnonzero(np.isneginf(conditional))
        if len(impossible):
            raise DataError(
                f"the logged action of {len(impossible)} decisions at step {step} is taken by no arm that can "
                "have acted so far",
                where=WHERE,
                remedy="check the arms' versions and shares, or leave these episodes' arm out of the test",
            )
        posterior[:, running] = joint - conditional
        out[rows] = np.exp(conditional)
    # Rounding alone may lift a certain action above 1.
    return np.minimum(out, 1.0)
