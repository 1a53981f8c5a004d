"""What each registered estimator claims. The tests hold every claim, and every denial, against the code.

``docs/estimators/README.md`` prints the same table and says what its columns mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from algorithms.ope.registry import ESTIMATORS, SINGLE_DECISION


@dataclass(frozen=True)
class Claims:
    """One estimator.

    Attributes:
        unbiased: its mean over all logs of three episodes is the value, whatever the model.
        exact: on a log whose frequencies are the probabilities it is the value: with ``any`` model, with the
            exact ``model`` only, or to within a standard ``error`` of the estimator that it is ``close_to``.
        reward_shift: a constant added to every reward is added to the value: ``alone``, if the ``model`` is
            moved as well, or ``no``.
        own_policy: of the policy that wrote the log it gives the log's mean return.
        within: never outside of what the logged rewards span.
        up_to_a_factor: ratios may be off by a factor per step.
        units: smallest effective number of units that is answered.
        share: smallest effective share of the units, at one decision.
        share_beyond: the same over longer episodes.
        close_to: whose estimate it gives, but for a trade of bias against variance.
        errors: how many of its standard errors it may be away from that, in every log.
        evidence: whether weights reach the policy, or only a model speaks.
    """

    unbiased: bool
    exact: Literal["any", "model", "error"]
    reward_shift: Literal["alone", "model", "no"]
    own_policy: bool
    within: bool
    up_to_a_factor: bool
    units: int = 200
    share: float = 0.10
    share_beyond: float = 0.10
    close_to: str = ""
    errors: float = 1.0
    evidence: Literal["log", "model"] = "log"


CLAIMS: dict[str, Claims] = {
    "ips": Claims(True, "any", "no", True, False, False, share_beyond=0.40),
    "snips": Claims(False, "any", "alone", True, True, True, share_beyond=0.40),
    "pdis": Claims(True, "any", "no", True, False, False),
    "weighted_pdis": Claims(False, "any", "alone", True, True, True),
    "clipped_pdis": Claims(False, "error", "no", True, False, False, close_to="pdis"),
    "clipped_weighted_pdis": Claims(False, "error", "alone", True, True, True, close_to="weighted_pdis"),
    "control_variates": Claims(
        True, "error", "alone", True, False, False, share=0.25, share_beyond=0.25, close_to="pdis"
    ),
    "direct_method": Claims(
        False, "model", "model", False, False, True, units=0, share=0.0, share_beyond=0.0, evidence="model"
    ),
    "doubly_robust": Claims(True, "any", "model", False, False, False, units=100),
    "weighted_doubly_robust": Claims(False, "any", "alone", False, False, True),
    "magic": Claims(False, "error", "model", False, False, True, close_to="weighted_doubly_robust", errors=2.7),
    "switch_doubly_robust": Claims(False, "error", "model", False, False, False, units=100, close_to="doubly_robust"),
    "doubly_robust_shrinkage": Claims(
        False, "error", "model", False, False, False, units=100, close_to="doubly_robust"
    ),
    "marginalized_importance_sampling": Claims(True, "any", "no", True, False, False, evidence="model"),
    "doubly_robust_marginalized": Claims(
        True, "any", "model", False, False, False, units=200, share=0.25, share_beyond=0.25
    ),
}
REFUSING = [name for name, claims in CLAIMS.items() if claims.units]


def longest(name: str, horizon: int) -> int:
    """The longest horizon up to this one at which the estimator answers."""
    return 1 if name in SINGLE_DECISION else horizon


def that(**wanted: object) -> list[str]:
    """Names of the registered estimators that make all of these claims."""
    return [name for name in ESTIMATORS if all(getattr(CLAIMS[name], key) == claim for key, claim in wanted.items())]
