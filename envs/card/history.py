"""Does the past tell what the present observation does not? If so, a model of the observations alone is wrong.

Every model claim (fitted Q evaluation, state ratios, an empirical decision process) takes the observation
for a state: given it and the action, reward and next observation must not depend on what was before.
Units are dealt to folds. From the folds before it, each fold is told what the previous observation,
action and reward and the number of the step add to the prediction. On its own units both that addition
and the outcome are freed of what the present observation and action explain; in a Markov log their
products then have mean 0, unit by unit.

The products, not the gain in squared error, because a useless addition costs error and would hide a
small true one; and because what is wrong with both regressions on the present enters as a product.
From the folds before, not from all others: two units that tell each other are one coincidence counted
twice, and the score of a clean log would spread by a factor of up to √2.

References:
    Lundborg, Kim, Shah & Samworth (2024), The projected covariance measure for assumption-lean variable
    significance testing, from which it is adapted; Shah & Peters (2020), The hardness of conditional
    independence testing and the generalised covariance measure, for why no such test is valid without a model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from envs.behavior import unit_folds
from envs.card.history_features import MOST_ROWS, FeatureHistory
from envs.card.history_rows import HistoryRows, history_rows
from envs.card.history_tables import TableHistory, distinct_states, well_filled
from envs.counting import counted
from envs.dataset import Dataset

LEVEL = 5e-4
FOLDS = 5
CERTAIN = 1e-9
MINIMUM_UNITS = 100
"""Units with a second decision below which nothing can be told."""


@dataclass(frozen=True, slots=True)
class HistoryTest:
    """Whether a log's observations can be taken for states.

    Attributes:
        p_value: of the target that decides, times the number of targets; NaN where nothing could be tested.
        effect: share of that target's spread that the past explains beyond the present.
        target: what is predicted better: ``reward``, ``end``, ``state`` or a field of the observation.
        passed: whether model claims may stand: tested and not contradicted, or decisions without a past.
        exact: whether observations are few and distinct, with 20 decisions for each or more.
        sentence: what was found.
    """

    p_value: float
    effect: float
    target: str
    passed: bool
    exact: bool
    sentence: str

    @property
    def shows_states(self) -> bool:
        """Whether weights by state are evidence of the log: of cells they are a model's, whatever was tested."""
        return self.passed and self.exact

    @property
    def failed(self) -> bool:
        """Whether the log contradicts it; a log that is too small to tell neither passes nor fails."""
        return not self.passed and math.isfinite(self.p_value)


def history_test(dataset: Dataset) -> HistoryTest:
    """Tests whether the past improves the prediction of reward and next observation.

    A log fails where a target's p-value, times the number of targets, is below 5·10⁻⁴ and the effect is at
    least 0.2 % of what the present leaves unexplained (few distinct observations) or 2 % of the target's
    variance (others: below that the features' own errors can feign a past). Units are what is independent,
    so that sticky logs raise no alarm. Of large logs with other observations a part of the units is tested.

    Args:
        dataset: the rows that may be read, rewards too; for a number on ``final``, train and select.
    """
    if dataset.specification.horizon == 1 or not (dataset.lengths > 1).any():
        return HistoryTest(math.nan, 0.0, "", True, True, "decisions stand alone: there is no past")
    states = distinct_states(dataset)
    exact = states is not None and well_filled(states, len(dataset))
    rows = history_rows(dataset, most=MOST_ROWS if states is None else None)
    units = len(np.unique(rows.units))
    if units < MINIMUM_UNITS:
        few = counted(units, "unit has", "units have")
        sentence = f"only {few} a second decision: whether observations are states cannot be tested"
        return HistoryTest(math.nan, 0.0, "", False, exact, sentence)
    if states is None:
        model: FeatureHistory | TableHistory = FeatureHistory(rows, dataset)
    else:
        model = TableHistory(rows, states, len(dataset.specification.actions))
    return _verdict(*_scores(model, rows), model.least_effect, exact)


def _scores(model: FeatureHistory | TableHistory, rows: HistoryRows) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Targets, the standard score of each and its effect."""
    names = tuple(dict.fromkeys(model.names))
    of_target = np.array([[name == target for target in names] for name in model.names], dtype=np.float64)
    products = np.zeros((len(rows), len(names)))
    addition_squares, unexplained = np.zeros(len(names)), np.zeros(len(names))
    fold = unit_folds(rows.units, FOLDS)
    for number in range(1, FOLDS):
        inside = fold == number
        outcome, addition = model.residuals(fold < number, inside)
        products[inside] = (outcome * addition) @ of_target
        addition_squares += (addition**2).sum(axis=0) @ of_target
        unexplained += (outcome**2).sum(axis=0) @ of_target
    tested = fold > 0
    spread = ((model.values[tested] - model.values.mean(axis=0)) ** 2).sum(axis=0) @ of_target
    unit = np.unique(rows.units[tested], return_inverse=True)[1]
    sums = np.stack([np.bincount(unit, weights=column) for column in products[tested].T], axis=1)
    total, error = sums.sum(axis=0), sums.std(axis=0, ddof=1) * math.sqrt(len(sums))
    # What the present foretells without error has no past, only rounding.
    testable = (unexplained > CERTAIN * spread) & (error > 0.0) & (addition_squares > 0.0)
    scores, effects = np.zeros(len(names)), np.zeros(len(names))
    scores[testable] = (total / np.where(testable, error, 1.0))[testable]
    share = np.maximum(total, 0.0) ** 2 / np.where(testable, addition_squares, 1.0)
    effects[testable] = (share / np.where(testable, unexplained if model.of_unexplained else spread, 1.0))[testable]
    return names, scores, effects


def _verdict(names: tuple[str, ...], scores: np.ndarray, effects: np.ndarray, least: float, exact: bool) -> HistoryTest:
    """By the target with the largest effect among those below the level; else by the smallest p-value."""
    chances = np.minimum([len(names) * NormalDist().cdf(-score) for score in scores], 1.0)
    rare = chances < LEVEL
    chosen = int(np.argmax(np.where(rare, effects, -1.0))) if rare.any() else int(np.argmin(chances))
    p_value, effect, target = float(chances[chosen]), float(effects[chosen]), names[chosen]
    passed = not (rare[chosen] and effect >= least)
    found = f"explains {100 * effect:.2g} % of the next {target}" if target not in ("reward", "end") else ""
    found = found or f"explains {100 * effect:.2g} % of the {target}"
    chance = f"p = {p_value:.1g}" if p_value >= 1e-12 else "p < 1e-12"
    sentence = f"the past {found} beyond the present observation and action ({chance})"
    if passed:
        sentence = f"the past adds nothing that matters: it {found} beyond the present ({chance})"
    return HistoryTest(p_value, effect, target, passed, exact, sentence)
