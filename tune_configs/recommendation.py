"""Which judged policy is best by all evidence: the models' word, as far as the log confirms it.

A gain that models foresee is far less noisy than the log's own estimate, and for a policy that the log does
not reach it is all there is. Where it reaches some, the models can be checked: with gain d, standard error s
and the models' smallest gain m of each of n policies that are reached, they are contradicted if

    m - d > t(1 - α/n) s        for one of them (Bonferroni, whatever the correlation; α = 5 %).

Three cases:

* nothing is reached, so nobody has checked the models: they count at their most cautious, by m;
* they were checked and not contradicted: by their mean over model classes and folds less its standard error,
  reached or not, so that no bound, which is lower for its width alone, competes with what has none; but never
  by less than d - t(1 - α/n) s;
* contradicted: what is reached by its lower bound, and the rest by b m, where b = Σ d m / s² : Σ m² / s² ≤ 1 is
  the share of the promised gains that the log confirms; with b ≤ 0 nothing that it does not reach comes first.

In every case, where one that is reached gains in the log, the first is none that does not (d ≤ 0): a recommendation
that its own table speaks against is nobody's to follow, and a gain that noise hides is found in the next log.

Measured on worlds that chose nothing of this (12 families of 16 tabular worlds with 20 policies, ten logs of each;
lost share of the policies' spread of values): where models are wrong because a harm is not observed .14 ± .02 and
.44 ± .02, by fitted Q evaluation alone .94 and .96, and so by the lower bound where there is one and m elsewhere.
Of the other ten families the worst difference to the latter is .001 ± .001, the best -.30 ± .03 (one step, skewed
rewards); to fitted Q evaluation alone .033 ± .010 and -.089 ± .035 (hidden overrides).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy import stats

from algorithms.ope.estimate import Estimate

SIGNIFICANCE = 0.05
"""α of the contradiction: how often models that are right are doubted, at most."""
MODELS_GAIN = "models_gain"
"""Name of the diagnostic of a gain that holds :func:`cautious_mean` of the models' gains."""


class Judged(Protocol):
    """What is read of a judged policy."""

    @property
    def gain(self) -> Estimate:
        """Paired difference to the champion, refused where the log does not reach the policy."""

    @property
    def model_gain(self) -> float:
        """Smallest difference over model classes and folds."""


def best_first(judged: Sequence[Judged], checked: Sequence[Judged] | None = None) -> list[int]:
    """Positions of the judged policies, the best by all evidence first.

    Of equals the one of the larger lower bound comes first, then the earlier one; what is no number comes last.

    Args:
        judged: what is ranked.
        checked: what the models are checked on, where that is more than ``judged``.
    """
    reached = [each for each in (judged if checked is None else checked) if each.gain.usable]
    contradicted = models_contradicted(reached)
    share = confirmed_share(reached) if contradicted else 1.0

    def key(position: int) -> tuple[bool, float, float]:
        each = judged[position]
        lower = _known(each.gain.lower) if each.gain.usable else -math.inf
        if not reached:
            return False, -_known(each.model_gain), 0.0
        if not contradicted:
            proven = _known(_surely(each.gain, len(reached))) if each.gain.usable else -math.inf
            return False, -max(_known(models_gain(each)), proven), -lower
        if each.gain.usable:
            return False, -lower, 0.0
        return share <= 0, -_known(each.model_gain if share <= 0 else share * each.model_gain), 0.0

    ranked = sorted(range(len(judged)), key=key)
    if any(each.gain.value > 0 for each in reached):
        first = next((n for n, at in enumerate(ranked) if not _logged_loss(judged[at].gain)), 0)
        ranked.insert(0, ranked.pop(first))
    return ranked


def models_contradicted(judged: Sequence[Judged]) -> bool:
    """Whether a reached policy gains less, by more than chance, than the models promise at their most cautious."""
    reached = [each for each in judged if each.gain.usable]
    # The upper bound is the lower one mirrored at the estimate.
    return any(each.model_gain > 2.0 * each.gain.value - _surely(each.gain, len(reached)) for each in reached)


def confirmed_share(judged: Sequence[Judged]) -> float:
    """Slope through 0 of the reached gains on the models' smallest ones, weighted by precision; at most 1."""
    confirmed = promised = 0.0
    for each in judged:
        error = standard_error(each.gain)
        if each.gain.usable and error > 0:
            confirmed += each.gain.value * each.model_gain / error**2
            promised += each.model_gain**2 / error**2
    return min(confirmed / promised, 1.0) if promised > 0 else 1.0


def cautious_mean(gains: Sequence[float]) -> float:
    """Mean over model classes and folds less its standard error, which is 0 for a single one."""
    return float(np.mean(gains)) - (float(np.std(gains, ddof=1)) / math.sqrt(len(gains)) if len(gains) > 1 else 0.0)


def models_gain(judged: Judged) -> float:
    """The models' cautious mean; the smallest gain where the judge that wrote it kept no mean."""
    return judged.gain.diagnostics.get(MODELS_GAIN, judged.model_gain)


def standard_error(gain: Estimate) -> float:
    """Of an estimate with a Student-t interval."""
    return (gain.value - gain.lower) / float(stats.t.ppf(0.5 * (1.0 + gain.confidence), _freedom(gain)))


def _logged_loss(gain: Estimate) -> bool:
    return gain.usable and not gain.value > 0


def _surely(gain: Estimate, count: int) -> float:
    """One-sided lower bound of a gain that holds for ``count`` of them at once."""
    return gain.value - float(stats.t.ppf(1.0 - SIGNIFICANCE / count, _freedom(gain))) * standard_error(gain)


def _freedom(gain: Estimate) -> int:
    return max(gain.units - 1, 1)


def _known(figure: float) -> float:
    return -math.inf if math.isnan(figure) else figure
