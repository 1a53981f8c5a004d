"""Several policies on one log by every estimator with every class of models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.ope.cross_fitting import cross_fit
from algorithms.ope.model_classes import evaluation_models, neural_evaluation_model
from algorithms.ope.padding import trajectories_from
from algorithms.ope.registry import estimators_for
from algorithms.ope.state_action_models import StateActionModel, TabularModel
from algorithms.ope.state_ratios import cross_fit_state_ratios
from envs.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Answers:
    """How many estimates were asked for, and answered.

    Attributes:
        asked: policies times estimators times classes of models.
        answered: those that were not refused.
    """

    asked: int
    answered: int


def evaluate_all(dataset: Dataset, policies: np.ndarray, *, folds: int, networks: bool) -> Answers:
    """Value policies (P, N + E, A) on all episodes.

    Args:
        dataset: the log.
        policies: at all rows.
        folds: of the cross-fitting.
        networks: whether small networks are one of the classes.
    """
    everything = np.ones(dataset.episode_count, dtype=bool)
    models: dict[str, StateActionModel] = evaluation_models(dataset, everything)
    cells = next(model for model in models.values() if isinstance(model, TabularModel))
    ratios = cross_fit_state_ratios(cells, dataset, policies, evaluated=everything, folds=folds)
    if networks:
        models["networks"] = neural_evaluation_model(dataset, everything)
    answers = [usable for model in models.values() for usable in _by_model(dataset, policies, model, ratios, folds)]
    return Answers(len(answers), sum(answers))


def _by_model(
    dataset: Dataset, policies: np.ndarray, model: StateActionModel, ratios: np.ndarray, folds: int
) -> list[bool]:
    """Whether each estimator answers for each policy."""
    everything = np.ones(dataset.episode_count, dtype=bool)
    q, v = cross_fit(model, dataset, policies, evaluated=everything, folds=folds)
    return [
        usable
        for index in range(len(policies))
        for usable in _by_policy(dataset, policies[index], q[index], v[index], ratios[index])
    ]


def _by_policy(
    dataset: Dataset, policy: np.ndarray, q: np.ndarray, v: np.ndarray, state_log_ratios: np.ndarray
) -> list[bool]:
    """Whether each estimator answers for one policy."""
    trajectories = trajectories_from(
        dataset, policy[dataset.rows], q=q, v=v, state_log_ratios=state_log_ratios, markov=True
    )
    asked = estimators_for(trajectories.horizon, state_ratios=True).values()
    return [estimator(trajectories).usable for estimator in asked]
