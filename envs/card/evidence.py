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


def gather_evidence(
    dataset: Dataset, *, history: HistoryTest | None = None, foretelling: Mapping[str, float] | None = None
) -> Evidence:
    """Measures a log.

    Where fewer than 99.9 % of the rows have a propensity, or the logged ones cannot be true, the behaviour
    policy is estimated; logged propensities that can be true are kept.

    Args:
        dataset: the log.
        history: its history test where that was made; beyond one decision it is the same at every horizon.
        foretelling: the fields that know the draw, where that was tested; the same at every horizon. No field is
            sought then that excuses false propensities.
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
    checked = replace(
        basic,
        residual=martingale_residual(dataset),
        contradictions=contradictions(dataset),
        history=history or history_test(dataset),
        carried=carry_over(dataset),
    )
    modal = modal_actions(dataset)
    if checked.true_propensities:
        fields = foretelling_fields(without_copies(dataset)) if foretelling is None else foretelling
        checked = replace(checked, foretelling=fields)
        propensities = dataset.propensities
        certain = float((propensities >= CERTAIN).mean())
    else:
        believed = not (checked.residual >= LARGEST_RESIDUAL or checked.contradictions)
        if checked.residual >= LARGEST_RESIDUAL and foretelling is None:
            excusing = excusing_fields(without_copies(dataset), LARGEST_RESIDUAL)
            checked = replace(checked, excusing=excusing)
        behavior = behavior_probabilities(dataset, believed=believed)
        propensities = behavior[np.arange(len(dataset)), dataset.actions]
        once = without_copies(dataset)  # a copy foretells what it was copied from
        foretold = behavior if once is dataset else behavior_probabilities(once, believed=believed)
        certain = float((foretold.argmax(axis=1) == once.actions).mean())
    estimated = not checked.true_propensities
    checked = replace(checked, estimated=estimated, certain_share=certain)
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
