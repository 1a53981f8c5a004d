"""What a policy is worth on ``select``: the paired difference to the champion, and what a model says.

The judge holds everything that all variants share (champion, model classes, folds), so that every
difference is taken between two numbers of the same estimator, model class and folds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from algorithms.ope.cross_fitting import cross_fit, folds_of
from algorithms.ope.doubly_robust import doubly_robust
from algorithms.ope.estimate import Estimate
from algorithms.ope.model_classes import evaluation_models
from algorithms.ope.overlap import DOUBLY_ROBUST_RULE, OverlapRule
from algorithms.ope.padding import trajectories_from
from algorithms.ope.paired import paired_difference, paired_estimate
from algorithms.ope.state_action_models import StateActionModel
from algorithms.ope.trajectories import Trajectories
from envs.dataset import SPLIT_NAMES, Dataset

FOLDS = 3
SELECT_RULE = OverlapRule(DOUBLY_ROBUST_RULE.minimum_units * 0.15 / 0.35, DOUBLY_ROBUST_RULE.minimum_fraction)
"""Overlap on ``select`` of a policy that the gate will be able to judge on ``final``, by the splits' shares."""


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What is known of one policy.

    Attributes:
        value: expected return under the policy, doubly robust where the log reaches it, else the model's.
        gain: paired difference to the champion, refused where the log does not reach the policy.
        model_gain: smallest difference to the champion over the model classes and folds, from models alone.
        deviation: standard deviation of the paired difference over units.
    """

    value: Estimate
    gain: Estimate
    model_gain: float
    deviation: float

    @property
    def score(self) -> float:
        """What recommends a policy: the proven gain where there is one, the models' cautious one elsewhere."""
        return self.gain.lower if self.gain.usable else self.model_gain


class Judge:
    """Judges policies against one champion on the chosen episodes of a dataset.

    Args:
        dataset: all episodes that may be read (never ``final``, unless the gate asks).
        champion: float64 (N + E, A), the champion's probabilities at all rows, floor included.
        evaluated: bool (E,), episodes that the numbers are taken on.
        fitted: bool (E,), episodes that models are always fitted on.
        folds: cross-fitting folds over the evaluated episodes; 0 fits on ``fitted`` alone.
        propensities: float64 (N,), estimated ones where the log has none.
        seed: of folds and cells.
        models: model classes of all rows, where they are there already; fitted on ``fitted`` by default.
    """

    def __init__(
        self,
        dataset: Dataset,
        champion: np.ndarray,
        *,
        evaluated: np.ndarray,
        fitted: np.ndarray,
        folds: int = FOLDS,
        propensities: np.ndarray | None = None,
        seed: int = 0,
        models: Mapping[str, StateActionModel] | None = None,
    ) -> None:
        self.dataset, self.evaluated, self.fitted, self.folds, self.seed = dataset, evaluated, fitted, folds, seed
        self.models = evaluation_models(dataset, fitted, seed=seed) if models is None else dict(models)
        self.first = next(iter(self.models))
        self.subset = dataset.select_episodes(evaluated)
        chosen = evaluated[dataset.episode_index]
        self.rows = dataset.rows[chosen]
        self.propensities_of = propensities
        self.propensities = None if propensities is None else propensities[chosen]
        unit_is_episode = dataset.specification.unit == "episode"
        self.units = None if unit_is_episode else self.subset.units
        self.champion_probabilities = champion
        self.champion = self.trajectories(champion[None])

    def trajectories(self, probabilities: np.ndarray) -> dict[str, list[Trajectories]]:
        """The evaluated episodes under each of P policies (P, N + E, A), for each model class."""
        found = {}
        for name, model in self.models.items():
            q, v = cross_fit(
                model,
                self.dataset,
                probabilities,
                evaluated=self.evaluated,
                always=self.fitted,
                folds=self.folds,
                seed=self.seed,
            )
            found[name] = [
                trajectories_from(self.subset, each[self.rows], q=q_each, v=v_each, propensities=self.propensities)
                for each, q_each, v_each in zip(probabilities, q, v, strict=True)
            ]
        return found

    def judge(self, probabilities: np.ndarray) -> Judgement:
        """Value and gain of a policy with probabilities (N + E, A), floor included."""
        return self.judged(self.trajectories(probabilities[None]))

    def judged(self, found: dict[str, list[Trajectories]]) -> Judgement:
        """:meth:`judge`, of the :meth:`trajectories` of one policy."""
        candidate, champion = found[self.first][0], self.champion[self.first][0]
        gain = paired_estimate(candidate, champion, overlap=SELECT_RULE, units=self.units)
        value = doubly_robust(candidate, overlap=SELECT_RULE, units=self.units)
        if value.refused:
            value = self._model_value(found)
        model_gain = min(self._by_model_and_fold(found, gains=True))
        return Judgement(value, gain, model_gain, gain.diagnostics["standard_deviation"])

    def differences(self, probabilities: np.ndarray) -> tuple[np.ndarray, list[Trajectories]]:
        """D (P, U) of P policies (P, N + E, A) by the first model class, and their trajectories."""
        candidates, champion = self.trajectories(probabilities)[self.first], self.champion[self.first][0]
        return np.stack([paired_difference(each, champion, units=self.units) for each in candidates]), candidates

    def _model_value(self, found: dict[str, list[Trajectories]]) -> Estimate:
        """The models' word: their mean and their range, which is no confidence interval and does not pose as one."""
        values = self._by_model_and_fold(found, gains=False)
        return Estimate(
            value=float(np.mean(values)),
            lower=min(values),
            upper=max(values),
            confidence=0.0,
            estimator="models",
            effective_sample_size=0.0,
            units=self.subset.episode_count,
            evidence="model",
            assumptions=("a range over model classes and folds, not a confidence interval",),
        )

    def _by_model_and_fold(self, found: dict[str, list[Trajectories]], *, gains: bool) -> list[float]:
        """Mean model value of the first states, or its difference to the champion's, for each class and fold."""
        folds = max(self.folds, 1)
        fold = folds_of(self.subset.units, folds, self.seed)
        means = []
        for name, champion in self.champion.items():
            ours, theirs = found[name][0].v_values, champion[0].v_values
            assert ours is not None and theirs is not None
            values = ours[:, 0] - theirs[:, 0] if gains else ours[:, 0]
            means += [float(values[fold == k].mean()) for k in range(folds) if (fold == k).any()]
        return means


def episodes_in(dataset: Dataset, *names: str) -> np.ndarray:
    """Mask (E,) of the episodes of the named splits."""
    return np.isin(dataset.splits, [SPLIT_NAMES[name] for name in names])
