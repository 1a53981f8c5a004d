"""Double reinforcement learning (DRL): doubly robust estimation with marginal instead of cumulative weights.

    ψ_i = V̂(s_0) + Σ_t γᵗ ŵ_t(s_t) ρ_t (r_t + γ V̂(s_{t+1}) - Q̂(s_t, a_t)),   w_t = d^π_t / d^b_t

In a Markov decision process unbiased if either ŵ or Q̂ is exact and neither was fitted on the same
episodes; what their errors do to the mean is the product of the two. Its variance does not grow
exponentially with the horizon, as that of every product of ratios must.

Reference: Kallus & Uehara (2020), Double reinforcement learning for efficient off-policy evaluation in
Markov decision processes, section 4 (their model M2).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from algorithms.ope._assembly import INDEPENDENT_UNITS, KNOWN_PROPENSITIES, assemble
from algorithms.ope.doubly_robust import model_residuals
from algorithms.ope.estimate import Estimate
from algorithms.ope.marginalized_importance_sampling import MARKOV, marginal_weights, thinnest_step
from algorithms.ope.overlap import OverlapRule
from algorithms.ope.trajectories import Trajectories

NAME = "doubly_robust_marginalized"
MARGINAL_RULE = OverlapRule(200.0, 0.25)
"""At the thinnest step. With 100 units and 10 % intervals of gains cover 93.7 %: the weights have a heavy tail."""


def marginalized_contributions(trajectories: Trajectories) -> np.ndarray:
    """ψ of each episode, float64 (E,).

    Raises:
        DataError: the trajectories carry no model values or no state ratios.
    """
    residuals, start = model_residuals(trajectories, NAME)
    return start + (marginal_weights(trajectories, NAME) * residuals) @ trajectories.discounts


def doubly_robust_marginalized(
    trajectories: Trajectories,
    confidence: float = 0.95,
    *,
    force: bool = False,
    overlap: OverlapRule = MARGINAL_RULE,
    units: np.ndarray | None = None,
) -> Estimate:
    """The doubly robust value of a policy by marginal weights.

    The interval is the studentised one over the units' influence functions: to first order the errors of ratios and
    model do not enter it. Its evidence is ``log`` only where the trajectories say that states were shown to
    hold all that matters (``markov``), else ``model``: under aliased states it is off and does not show it.
    The effective sample size is that of the step where it is smallest.

    Args:
        trajectories: with ``q_values``, ``v_values`` and ``state_log_ratios`` fitted on other episodes.
        confidence: coverage of the two-sided interval.
        force: give the numbers although the overlap is refused; the reason stays.
        overlap: smallest overlap, at every step, that is answered.
        units: independent unit of each episode (E,), ``None`` where it is the episode.

    Raises:
        DataError: the trajectories carry no model values or no state ratios, or there is no episode.
    """
    contributions = marginalized_contributions(trajectories)
    step, log_weights = thinnest_step(trajectories, units) if len(trajectories) else (0, None)
    estimate = assemble(
        NAME,
        contributions,
        trajectories,
        confidence=confidence,
        force=force,
        overlap=overlap,
        units=units,
        evidence="log" if trajectories.markov else "model",
        assumptions=(
            INDEPENDENT_UNITS,
            KNOWN_PROPENSITIES,
            MARKOV,
            "model and state ratios were fitted on other episodes",
            "the product of their errors is small",
        ),
        log_weights=log_weights,
    )
    return replace(estimate, diagnostics=estimate.diagnostics | {"thinnest_step": float(step)})
