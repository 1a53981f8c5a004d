"""What a policy is worth on ``select``: the paired difference to the champion, and what a model says.

The judge holds everything that all variants share (champion, model classes, folds), so that every
difference is taken between two numbers of the same estimator, model class and folds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from algorithms.ope.censoring import censoring_survival, censoring_weighted
from algorithms.ope.cross_fitting import cross_fit, folds_of
from algorithms.ope.decoupled import decoupled_differences
from algorithms.ope.doubly_robust import doubly_robust
from algorithms.ope.doubly_robust_marginalized import MARGINAL_RULE, doubly_robust_marginalized
from algorithms.ope.estimate import Estimate
from algorithms.ope.model_classes import evaluation_models
from algorithms.ope.overlap import DOUBLY_ROBUST_RULE, OverlapRule
from algorithms.ope.padding import trajectories_from
from algorithms.ope.paired import paired_difference, paired_estimate, paired_overlap, paired_overlap_error
from algorithms.ope.state_action_models import StateActionModel
from algorithms.ope.state_ratios import cross_fit_state_ratios, ratio_states
from algorithms.ope.support import undrawn_refusal
from algorithms.ope.trajectories import Trajectories
from envs.dataset import SPLIT_NAMES, Dataset
from envs.specification import RANDOM
from tune_configs.recommendation import MODELS_GAIN, cautious_mean

FOLDS = 3
BY_STATES = "A-M"
"""The grade of a log whose states were shown to be states: policies are judged by marginal weights."""


def overlap_rule(grade: str, split: str = "final") -> OverlapRule:
    """Smallest overlap that is answered on a log of this grade.

    Args:
        grade: of the log.
        split: ``final``, or ``select``, which by the splits' shares asks for as much as a policy needs that the
            gate will be able to judge on ``final``.
    """
    rule = MARGINAL_RULE if grade == BY_STATES else DOUBLY_ROBUST_RULE
    return rule if split == "final" else OverlapRule(rule.minimum_units * 0.15 / 0.35, rule.minimum_fraction)


SELECT_RULE = overlap_rule("A", "select")


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What is known of one policy.

    Attributes:
        value: expected return under the policy, doubly robust where the log reaches it, else the model's.
        gain: paired difference to the champion, refused where the log does not reach the policy; the models' cautious
            mean is among its diagnostics.
        model_gain: smallest difference to the champion over the model classes and folds, from models alone.
        deviation: standard deviation of the paired difference over units.
    """

    value: Estimate
    gain: Estimate
    model_gain: float
    deviation: float

    @property
    def score(self) -> float:
        """What ranks the checkpoints of one variant: the proven gain where there is one, else the models' cautious one.

        Variants are ranked by :func:`~tune_configs.recommendation.best_first`.
        """
        return self.gain.lower if self.gain.usable else self.model_gain


class Judge:
    """Judges policies against one champion on the chosen episodes of a dataset.

    Args:
        dataset: all episodes that may be read (never ``final``, unless the gate asks).
        champion: float64 (N + E, A), the champion's probabilities at all rows, floor included.
        evaluated: bool (E,), episodes that the numbers are taken on.
        fitted: bool (E,), episodes that models are always fitted on.
        folds: cross-fitting folds over the evaluated episodes; 0 fits on ``fitted`` alone.
        behavior: float64 (N, A), the estimated behaviour policy where the log has no propensities.
        seed: of folds and cells.
        models: model classes of all rows, where they are there already; fitted on ``fitted`` by default.
        grade: of the log; on grade A-M the weights are marginal ones.
        markov: what the history test says; where it is given, trajectories carry state ratios on any grade.
    """

    def __init__(
        self,
        dataset: Dataset,
        champion: np.ndarray,
        *,
        evaluated: np.ndarray,
        fitted: np.ndarray,
        folds: int = FOLDS,
        behavior: np.ndarray | None = None,
        seed: int = 0,
        models: Mapping[str, StateActionModel] | None = None,
        grade: str = "A",
        markov: bool | None = None,
    ) -> None:
        self.dataset, self.evaluated, self.fitted, self.folds, self.seed = dataset, evaluated, fitted, folds, seed
        self.models = evaluation_models(dataset, fitted, seed=seed) if models is None else dict(models)
        self.first = next(iter(self.models))
        self.grade, self.marginal, self.rule = grade, grade == BY_STATES, overlap_rule(grade, "select")
        self.markov = self.marginal if markov is None else markov
        weighed = dataset.specification.horizon > 1 and (self.marginal or markov is not None)
        self._states = ratio_states(dataset, fitted, seed=seed) if weighed else None
        self.subset = dataset.select_episodes(evaluated)
        chosen = evaluated[dataset.episode_index]
        self.rows = dataset.rows[chosen]
        self.behavior = behavior
        self._behavior = None if behavior is None else behavior[chosen]
        unit_is_episode = dataset.specification.unit == "episode"
        self.units = None if unit_is_episode else self.subset.units
        self.weighs_cuts = dataset.specification.censoring == RANDOM and not self.marginal
        self._survival = censoring_survival(self.subset) if self.weighs_cuts else None
        self.champion_probabilities = champion
        self.champion = self.trajectories(champion[None])

    def trajectories(self, probabilities: np.ndarray) -> dict[str, list[Trajectories]]:
        """The evaluated episodes under each of P policies (P, N + E, A), for each model class."""
        found, ratios = {}, self._state_ratios(probabilities)
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
                self._weighted(
                    trajectories_from(
                        self.subset,
                        each[self.rows],
                        q=q_each,
                        v=v_each,
                        state_log_ratios=of_states,
                        markov=self.markov,
                        behavior=self._behavior,
                    )
                )
                for each, q_each, v_each, of_states in zip(probabilities, q, v, ratios, strict=True)
            ]
        return found

    def _weighted(self, trajectories: Trajectories) -> Trajectories:
        """With every weight divided by the chance of having been seen so far, where episodes were cut by chance."""
        if self._survival is None:
            return trajectories
        return censoring_weighted(self.subset, trajectories, self._survival)

    def unweighed(self, probabilities: np.ndarray, found: Trajectories) -> Trajectories:
        """One of the :meth:`trajectories`, of a policy (N + E, A), as it is where no cut is weighed for.

        Weights for cuts accumulate over the steps: they are not for marginal weights, which stand for one step alone.
        """
        if self._survival is None:
            return found
        return trajectories_from(
            self.subset,
            probabilities[self.rows],
            q=found.q_values,
            v=found.v_values,
            state_log_ratios=found.state_log_ratios,
            markov=self.markov,
            behavior=self._behavior,
        )

    def _state_ratios(self, probabilities: np.ndarray) -> Sequence[np.ndarray | None]:
        """Log state ratios (E', H) of each policy where they are asked for, from the folds of the values."""
        if self._states is None:
            return [None] * len(probabilities)
        return list(
            cross_fit_state_ratios(
                self._states,
                self.dataset,
                probabilities,
                evaluated=self.evaluated,
                always=self.fitted,
                folds=self.folds,
                propensities=_of_taken(self.dataset, self.behavior),
                seed=self.seed,
            )
        )

    def judge(self, probabilities: np.ndarray) -> Judgement:
        """Value and gain of a policy with probabilities (N + E, A), floor included."""
        return self.judged(self.trajectories(probabilities[None]))

    def judged(self, found: dict[str, list[Trajectories]]) -> Judgement:
        """:meth:`judge`, of the :meth:`trajectories` of one policy."""
        candidate, champion = found[self.first][0], self.champion[self.first][0]
        gain = paired_estimate(candidate, champion, overlap=self.rule, units=self.units, marginal=self.marginal)
        value_of = doubly_robust_marginalized if self.marginal else doubly_robust
        value = value_of(candidate, overlap=self.rule, units=self.units)
        if value.refused or (not self.marginal and undrawn_refusal(candidate, self.units)):
            value = self._model_value(found)
        gains = self._by_model_and_fold(found, gains=True)
        gain = replace(gain, diagnostics={**gain.diagnostics, MODELS_GAIN: cautious_mean(gains)})
        return Judgement(value, gain, min(gains), gain.diagnostics["standard_deviation"])

    def differences(self, probabilities: np.ndarray) -> tuple[np.ndarray, list[Trajectories]]:
        """D (P, U) of P policies (P, N + E, A) by the first model class, and their trajectories."""
        candidates, champion = self.trajectories(probabilities)[self.first], self.champion[self.first][0]
        differences = [
            paired_difference(each, champion, units=self.units, marginal=self.marginal) for each in candidates
        ]
        return np.stack(differences), candidates

    def decoupled(self, candidates: Sequence[Trajectories]) -> np.ndarray:
        """D* (P, M) of the trajectories of :meth:`differences`, their residuals exchanged between units."""
        champion = self.champion[self.first][0]
        return np.stack(
            [
                decoupled_differences(each, champion, units=self.units, marginal=self.marginal, seed=self.seed)
                for each in candidates
            ]
        )

    def reach(self, trajectories: Trajectories) -> tuple[float, float]:
        """Effective number of evaluated units under a policy's weights, and √units times its relative error."""
        overlap = paired_overlap(trajectories, units=self.units, marginal=self.marginal)
        return overlap, paired_overlap_error(trajectories, units=self.units, marginal=self.marginal)

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


def _of_taken(dataset: Dataset, behavior: np.ndarray | None) -> np.ndarray | None:
    return None if behavior is None else behavior[np.arange(len(dataset)), dataset.actions]
