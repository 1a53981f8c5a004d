"""The error that an agent's gates may spend over its whole life, and what it buys.

Reference: alpha-spending over an unbounded number of looks, Σ_j 6α / (π² j²) = α (Basel series).
"""

from __future__ import annotations

import math

from scipy import stats

from envs.errors import DataError
from tune_configs.gate.lifetime import LIFETIME_ALPHA


def alpha_at(look: int, alpha: float = LIFETIME_ALPHA) -> float:
    """α_j = 6α / (π² j²), the level of the j-th gate (j from 1) of a lifetime budget ``alpha``."""
    if look < 1 or not 0.0 < alpha < 1.0:
        raise DataError(
            f"look {look} at a budget of {alpha}", where="gate", remedy="looks count from 1, the budget is in (0, 1)"
        )
    return 6.0 * alpha / (math.pi**2 * look**2)


def leg_level(look: int, alpha: float = LIFETIME_ALPHA) -> float:
    """The level of each of the two legs at the j-th gate, α_j / 2."""
    return alpha_at(look, alpha) / 2.0


def needed_multiple(level: float, power: float = 0.8) -> float:
    """The δ √n / σ at which a one-sided test at ``level`` rejects with probability ``power``.

    z_{1-level} + z_power: 2.5 at a level of .05, 3.0 at the first gate's .0152, 3.5 at the second's.
    """
    return float(stats.norm.isf(level) + stats.norm.ppf(power))


def planned_power(deviation: float, effect: float, units: float, level: float) -> float:
    """Probability that Student's test at ``level`` finds ``effect`` in so many units, Φ(δ √n / σ - z).

    Args:
        deviation: σ_D > 0, standard deviation of a unit's paired difference.
        effect: δ, true gain over what the null allows.
        units: n.
        level: of the leg.
    """
    return float(stats.norm.cdf(effect / deviation * math.sqrt(units) - stats.norm.isf(level)))


def needed_units(deviation: float, effect: float, level: float, power: float = 0.8) -> int:
    """Fewest units in which Student's test at ``level`` finds ``effect`` with probability ``power``: (m σ / δ)².

    Raises:
        DataError: the effect is not positive.
    """
    if not effect > 0.0:
        raise DataError(f"effect {effect}", where="gate", remedy="plan for a positive effect")
    return math.ceil((max(needed_multiple(level, power), 0.0) * deviation / effect) ** 2)
