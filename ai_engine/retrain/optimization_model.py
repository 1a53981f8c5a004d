"""Recommendations by load as a policy artefact, and back.

The policy takes the recommended scaling action in each cell of a grid over the measured loads. The measured
rows and the recommended allocations lie under ``provenance.training`` of the artefact: one file, sealed by
its SHA-256, is both what is deployed and what training goes on from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_engine.retrain.optimization_data import CONTEXT, PerformanceData
from algorithms.policy.arrays import array_from_json, array_to_json
from algorithms.policy.artefact import policy_from_bytes
from algorithms.policy.components import ProbabilityTable
from algorithms.policy.parts import Layer
from algorithms.policy.policy import Policy
from algorithms.policy.provenance import Provenance
from envs.errors import ArtefactError
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import Action

ALGORITHM = "optimization"
OBSERVATION = ObservationSpecification("object", tuple(ObservationField(name, low=0.0) for name in CONTEXT))


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a training recommends.

    Attributes:
        table: the recommended action by load; uncertain where nothing is recommended.
        actions: those of the table, A.
        recommendations: one for each cell, as JSON.
        statistics: of the training, as JSON.
    """

    table: ProbabilityTable
    actions: tuple[Action, ...]
    recommendations: tuple[dict[str, Any], ...]
    statistics: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class SavedModel:
    """What a model file holds.

    Attributes:
        agent: whose policy it is.
        explore: exploration floor of the policy.
        plan: of the last training.
        data: all measured rows.
        settings: of the trainer, by name.
    """

    agent: str
    explore: float
    plan: Plan
    data: PerformanceData
    settings: Mapping[str, Any]


def plan_policy(model: SavedModel) -> Policy:
    """The policy of a plan; where nothing is recommended it draws as the measured rows did."""
    data, plan = model.data, model.plan
    training: dict[str, Any] = {
        "statistics": plan.statistics,
        "recommendations": list(plan.recommendations),
        "rows": array_to_json(data.table()),
        "actions": list(data.actions),
        "allocation": list(data.names or ()),
    }
    return Policy(
        agent=model.agent,
        version=f"{ALGORITHM}-{plan.statistics['rows']}",
        observation=OBSERVATION,
        actions=plan.actions,
        explore=model.explore,
        layers=(Layer(1.0, plan.table),),
        provenance=Provenance(
            algorithm=ALGORITHM,
            hyperparameters=dict(model.settings),
            training=training,
            note="no gate has judged it",
        ),
    )


def read_model(path: str | os.PathLike[str]) -> SavedModel:
    """The model of a file whose policy :func:`plan_policy` made.

    Raises:
        ArtefactError: no such file, a damaged one, or one without measured rows.
    """
    where = os.fspath(path)
    try:
        policy = policy_from_bytes(Path(path).read_bytes(), where=where)
    except OSError as error:
        raise ArtefactError(
            f"cannot be read ({error.strerror})", where=where, remedy="give the path of a saved model"
        ) from None
    kept = policy.provenance
    table = policy.layers[0].component if policy.layers else None
    if kept.algorithm != ALGORITHM or not isinstance(table, ProbabilityTable):
        raise ArtefactError("holds no measured rows", where=where, remedy="give a file that OptimizationTrainer saved")
    training, settings = kept.training, kept.hyperparameters
    try:
        data = PerformanceData.of(
            array_from_json(training["rows"], "rows", dimensions=2, kind="f"),
            tuple(training["allocation"]),
            tuple(training["actions"]),
            settings["capacity"],
            settings["outcomes"],
        )
        plan = Plan(table, policy.actions, tuple(training["recommendations"]), training["statistics"])
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ArtefactError(f"lacks {error}", where=where, remedy="train it again") from None
    return SavedModel(policy.agent, policy.explore, plan, data, settings)
