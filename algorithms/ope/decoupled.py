"""Paired differences whose weights meet the residuals of other episodes: how could they have fallen out?

    D*_i = V̂_i(s_0) - V̂ᶜ_i(s_0) + Σ_t γᵗ (ω_it e_jt - ωᶜ_it eᶜ_jt),   j = σ_t(i), σ_t a random permutation

The log's few decisions of large weight decide a gain, and by luck they may have missed every bad outcome: then the
gain looks large, and nothing in its law shows why. But bad outcomes also befell decisions of small weight.
Decoupled, each weight meets the outcomes of all, so that the law of D* rests on the whole log: that of the weights
times that of the residuals. Residuals whose law depends on the action make it another one than that of D; it is only
ever used to be more cautious than D itself.
"""

from __future__ import annotations

import numpy as np

from algorithms.ope.doubly_robust import model_residuals
from algorithms.ope.intervals import unit_values
from algorithms.ope.marginalized_importance_sampling import marginal_weights
from algorithms.ope.trajectories import Trajectories
from algorithms.ope.unseen_rest import with_least_gain

PERMUTATIONS = 6


def decoupled_differences(
    candidate: Trajectories,
    champion: Trajectories,
    *,
    units: np.ndarray | None = None,
    marginal: bool = False,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> np.ndarray:
    """D* of each independent unit and permutation, float64 (P · U,).

    A permutation moves residuals among the decisions of one step; the two policies' residuals move together.

    Args:
        candidate: the episodes under the candidate's ratios and model.
        champion: the same episodes under the champion's.
        units: independent unit of each episode (E,), ``None`` where it is the episode.
        marginal: by marginal weights instead of their products.
        permutations: P.
        seed: of the permutations.

    Raises:
        DataError: the trajectories carry no model values.
    """
    sides = []
    candidate, champion = with_least_gain(candidate, champion, marginal=marginal)
    for each in (candidate, champion):
        weights = marginal_weights(each, "decoupled") if marginal else each.cumulative_weights
        sides.append((weights * each.discounts, *model_residuals(each, "decoupled")))
    (ours, our_residuals, our_start), (theirs, their_residuals, their_start) = sides
    active = candidate.active
    rank = np.where(active, np.cumsum(active, axis=0) - 1, 0)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(permutations):
        order = np.argsort(np.where(active, rng.random(active.shape), 2.0), axis=0)  # the decisions of a step first
        source = np.take_along_axis(order, rank, axis=0)
        moved = [np.take_along_axis(each, source, axis=0) for each in (our_residuals, their_residuals)]
        terms = np.where(active, ours * moved[0] - theirs * moved[1], 0.0)
        found.append(unit_values(our_start - their_start + terms.sum(axis=1), units))
    return np.concatenate(found)
