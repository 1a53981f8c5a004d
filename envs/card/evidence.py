"""Everything the grade depends on, measured once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from envs.card.advice import MINIMUM_FRACTION, MINIMUM_UNITS, provable_steps
from envs.card.carry_over import CarryOver, carry_over
from envs.card.history import HistoryTest, history_test
from envs.card.leaks import excusing_fields, foretelling_fields
from envs.card.marginal_overlap import measure_marginal_overlap
from envs.card.overlap import Overlap, episode_returns, measure_overlap, modal_actions, reference_ratios
from envs.card.propensities import contradictions, martingale_residual
from envs.card.repeats import without_copies
from envs.card.sensitivity import tipping_factor
from envs.dataset import EMBARGO, Dataset
from envs.untried import behavior_probabilities

# A propensity above this leaves nothing to chance.
CERTAIN = 0.999
NEEDED_PROPENSITIES = 0.999
LARGEST_RESIDUAL = 3.5
# Share of decisions without chance from which a log counts as deterministic.
DETERMINISTIC = 0.99
OF_DRAWS = ("residual", "contradictions", "estimated", "certain_share", "foretelling", "excusing", "propensities")
"""What says how the actions were drawn: the same at every horizon, and most of the time that evidence takes."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Figures of one log.

    Attributes:
        decisions: number of decisions.
        episodes: number of episodes.
        units: independent units outside embargoes.
        complete_episodes: episodes whose return to the horizon is known.
        actions_tried: declared actions that were taken.
        constant_reward: whether every reward and every return is the same.
        logged_share: share of rows with a logged propensity.
        smallest: the smallest logged propensity; NaN where none is logged.
        residual: martingale residual |z| of the logged propensities; NaN where untestable.
        contradictions: rows that state two propensities.
        estimated: whether the propensities below are estimated.
        certain_share: share of decisions that left nothing to chance (logged), or that could be foretold
            (estimated).
        overlap: the reference policy's weights; ``None`` where there is nothing to weigh (deterministic).
        steps: (step size, effective share of units) of steps towards a candidate, where there is overlap.
        gamma: factor by which estimated propensities may be wrong; NaN where they are logged.
        history: whether observations can be taken for states; ``None`` where nothing was tested.
        carried: whether actions reach later episodes of their unit; ``None`` where nothing was tested.
        marginal: the reference policy's weights at the step that they reach least, where states were shown to
            be states and whole episodes have too little overlap; else ``None``.
        longest: decisions of the longest episode.
        beyond: decisions behind the horizon, which no return counts.
        foretelling: fields that know the draw beyond the logged propensities, with the score z of each.
        excusing: where the propensities cannot be true, the fields without which they could.
        propensities: float64 (N,), logged or estimated; ``None`` where nothing was tested.
    """

    decisions: int
    episodes: int
    units: int
    complete_episodes: int
    actions_tried: int
    constant_reward: bool
    logged_share: float = 0.0
    smallest: float = math.nan
    residual: float = math.nan
    contradictions: int = 0
    estimated: bool = False
    certain_share: float = 0.0
    overlap: Overlap | None = None
    steps: tuple[tuple[float, float], ...] = ()
    gamma: float = math.nan
    history: HistoryTest | None = None
    carried: CarryOver | None = None
    marginal: Overlap | None = None
    longest: int = 0
    beyond: int = 0
    foretelling: Mapping[str, float] = field(default_factory=dict)
    excusing: tuple[str, ...] = ()
    propensities: np.ndarray | None = field(default=None, compare=False, repr=False)

    @property
    def true_propensities(self) -> bool:
        """Whether the logged propensities can be believed."""
        believed = not self.residual >= LARGEST_RESIDUAL and self.contradictions == 0
        return self.logged_share >= NEEDED_PROPENSITIES and believed

    @property
    def deterministic(self) -> bool:
        """Whether the policy that wrote the log left nothing to chance."""
        return self.certain_share >= DETERMINISTIC


def complete_episodes(dataset: Dataset) -> np.ndarray:
    """Episodes whose return to the horizon is known, bool (E,): terminated, or as long as the horizon."""
    if not dataset.episode_count:
        return np.zeros(0, dtype=bool)
    return np.asarray(dataset.terminated[dataset.offsets[1:] - 1] | (dataset.lengths >= dataset.specification.horizon))


def gather_evidence(dataset: Dataset, *, like: Evidence | None = None) -> Evidence:
    """Measures a log.

    Where fewer than 99.9 % of the rows have a propensity, or the logged ones cannot be true, the behaviour
    policy is estimated; logged propensities that can be true are kept.

    Args:
        dataset: the log.
        like: of the same log at another horizon, which says the same of how its actions were drawn.
    """
    logged = np.isfinite(dataset.propensities)
    basic = Evidence(
        decisions=len(dataset),
        episodes=dataset.episode_count,
        units=len(np.unique(dataset.units[dataset.splits != EMBARGO])),
        complete_episodes=int(complete_episodes(dataset).sum()),
        actions_tried=len(np.unique(dataset.actions)),
        constant_reward=len(dataset) > 0 and not np.ptp(dataset.rewards) and not np.ptp(episode_returns(dataset)),
        logged_share=float(logged.mean()) if len(dataset) else 0.0,
        smallest=float(dataset.propensities[logged].min()) if logged.any() else math.nan,
        longest=int(dataset.lengths.max(initial=0)),
        beyond=int(np.maximum(dataset.lengths - dataset.specification.horizon, 0).sum()),
    )
    if basic.units < 2 or basic.actions_tried < 2:
        return basic
    drawn = _drawn(dataset, basic) if like is None else like
    checked = replace(
        basic,
        **{name: getattr(drawn, name) for name in OF_DRAWS},
        history=history_test(dataset),
        carried=carry_over(dataset),
    )
    modal, propensities, estimated = modal_actions(dataset), checked.propensities, checked.estimated
    assert propensities is not None
    if checked.deterministic:
        return checked  # the weights of a policy that is the log itself say nothing
    ratios = reference_ratios(dataset, propensities, modal)
    overlap = measure_overlap(dataset, ratios)
    marginal = None
    thin = overlap.effective < MINIMUM_UNITS or overlap.fraction < MINIMUM_FRACTION
    if thin and not estimated and checked.history is not None and checked.history.shows_states:
        marginal = measure_marginal_overlap(dataset, overlap, ratios, modal)
    return replace(
        checked,
        overlap=overlap,
        marginal=marginal,
        steps=provable_steps(dataset, modal, propensities),
        gamma=tipping_factor(overlap.weights, overlap.returns) if estimated else math.nan,
    )


def _drawn(dataset: Dataset, basic: Evidence) -> Evidence:
    """With :data:`OF_DRAWS`."""
    once = without_copies(dataset)  # a copy foretells what it was copied from
    checked = replace(basic, residual=martingale_residual(dataset), contradictions=contradictions(dataset))
    if checked.true_propensities:
        return replace(
            checked,
            foretelling=foretelling_fields(once),
            propensities=_with_missing(dataset),
            certain_share=float((dataset.propensities >= CERTAIN).mean()),
        )
    false = checked.residual >= LARGEST_RESIDUAL
    believed = not (false or checked.contradictions)
    behavior = behavior_probabilities(dataset, believed=believed)
    foretold = behavior if once is dataset else behavior_probabilities(once, believed=believed)
    certain_share = float((foretold.argmax(axis=1) == once.actions).mean())
    # Of a rule that leaves nothing to chance 1 is the propensity: the test takes the other side of its threshold,
    # in states that look alike, for draws that were not made.
    rule = replace(checked, residual=math.nan, propensities=dataset.propensities, certain_share=1.0)
    if checked.smallest >= CERTAIN and certain_share >= DETERMINISTIC and rule.true_propensities:
        return rule
    return replace(
        checked,
        estimated=True,
        excusing=excusing_fields(once, LARGEST_RESIDUAL) if false else (),
        propensities=behavior[np.arange(len(dataset)), dataset.actions],
        certain_share=certain_share,
    )


def _with_missing(dataset: Dataset) -> np.ndarray:
    """The logged propensities (N,), and where a few are missing the estimated ones, as all who weigh the log do."""
    missing = ~np.isfinite(dataset.propensities)
    if not missing.any():
        return dataset.propensities
    behavior = behavior_probabilities(dataset, believed=True)
    return np.where(missing, behavior[np.arange(len(dataset)), dataset.actions], dataset.propensities)
