"""An agent's data, champion and declaration, opened together for one command."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ai_engine.continuous_learning.collector import DataCollector
from ai_engine.deploy.champion import bare_rule
from ai_engine.deploy.declaring import drafted_by_agent
from ai_engine.deploy.registry import Registry
from algorithms.on_log import probabilities_on, without_blind_ends
from algorithms.policy import BaseReference, Policy
from envs.build import build_dataset
from envs.build_report import BuildReport
from envs.card import DataCard, build_card
from envs.columns import save_columns
from envs.dataset import Dataset
from envs.declaration import specification_hash
from envs.errors import DataError
from envs.field_statistics import MAXIMUM_CATEGORIES
from envs.home import Home
from envs.journal.journal import Journal
from envs.specification import AgentSpecification
from tune_configs.training import train_component
from tune_configs.variant import Value, VariantSpecification


@dataclass(frozen=True, slots=True, eq=False)
class Workspace:
    """What a command works on.

    Attributes:
        home: the home.
        specification: the agent's declaration.
        dataset: its closed episodes.
        report: what is not in the dataset, and why.
        rule: the agent's own rule where it is declared, else ``None``.
        registry: versions and ledger.
    """

    home: Home
    specification: AgentSpecification
    dataset: Dataset
    report: BuildReport
    rule: Callable[..., Any] | None
    registry: Registry

    @property
    def name(self) -> str:
        """The agent."""
        return self.specification.name

    def card(self) -> DataCard:
        """What the log can prove."""
        return build_card(self.dataset, self.report)

    def learnable(self) -> str:
        """The log's grade.

        Raises:
            DataError: it is D, nothing can be learned from the log; says why.
        """
        card = self.card()
        if card.grade == "D":
            why = next(finding for finding in card.findings if finding.severity == "error")
            remedy = f"{why.remedy}; see retrainer inspect {self.name}"
            raise DataError(why.sentence, where=f"agent {self.name}", remedy=remedy)
        return card.grade

    def champion(self) -> Policy:
        """The present champion; version 0 is made where there is none yet."""
        if self.name not in self.registry.agents():
            self.registry.initialise(self._version_zero())
        champion = self.registry.version(self.name, "champion")
        declared = BaseReference(self.specification.rule_version)
        if champion.version in self.registry.rules(self.name) and champion.base not in (None, declared):
            reason = f"the rule is {self.specification.rule_version!r}"
            self.registry.renew_rule(bare_rule(self.specification), reason)
            champion = self.registry.version(self.name, "champion")
        return champion

    def with_known_ends(self, *policies: Policy) -> tuple[Dataset, list[np.ndarray]]:
        """The dataset and the policies' probabilities (N + E, A), unknown ends marked."""
        probabilities = [probabilities_on(self.dataset, policy) for policy in policies]
        return without_blind_ends(self.dataset, *probabilities), probabilities

    def _version_zero(self) -> Policy:
        """The logging policy: the declared rule with its floor, or an estimate of who wrote the log."""
        specification = self.specification
        known = np.isfinite(self.dataset.root_probabilities[self.dataset.rows]).all()
        shell = bare_rule(specification)
        if self.rule is not None or known:
            return shell
        return estimated_behavior(self.dataset, shell, self.home.runs_path)


def open_workspace(name: str, home: Home | str | Path | None = None) -> Workspace:
    """Open an agent's workspace; of an agent that was recorded and never declared a draft is written down first.

    Raises:
        HomeError, SpecificationError, DataError: no home, an unknown agent, or no records.
    """
    found = Home.find(home)
    with DataCollector(found) as collector:
        specification = collector.specification(name)
        rule = found.rule(name)
        dataset, report = _built(found, specification, rule)
        if _lacks_categories(dataset):
            specification = collector.complete_draft(name)
            dataset, report = _built(found, specification, rule)
    return Workspace(found, specification, dataset, report, rule, Registry(found))


def _lacks_categories(dataset: Dataset) -> bool:
    """Whether an agent drafted the declaration from one observation, and the log has further categories by now."""
    if not drafted_by_agent(dataset.specification):
        return False
    observations = dataset.observations[dataset.rows]
    return any(
        field.type == "category"
        and len(field.categories) < MAXIMUM_CATEGORIES
        and (observations[:, column] < 0.0).any()
        for column, field in enumerate(dataset.specification.observation.own)
    )


_KEPT: dict[tuple[object, ...], tuple[object, float, Dataset, BuildReport]] = {}
"""The last datasets built by this process, and until when they are; a command looks at one log several times."""
MOST_KEPT = 4


def _built(
    home: Home, specification: AgentSpecification, rule: Callable[..., Any] | None
) -> tuple[Dataset, BuildReport]:
    """The dataset of a log. Records are only ever added: without new ones it changes where some wait for their time."""
    name = specification.name
    key = (home.path, specification_hash(specification), home.split_key, Journal(home.journal_path).last_sequence(name))
    if key not in _KEPT or _KEPT[key][0] is not rule or time.time() >= _KEPT[key][1]:
        _KEPT.pop(key, None)
        while len(_KEPT) >= MOST_KEPT:
            _KEPT.pop(next(iter(_KEPT)))
        dataset, report = build_dataset(home, name, rule=rule)
        _KEPT[key] = (rule, report.matures if report.immature_episodes else math.inf, dataset, report)
    return _KEPT[key][2:]


def estimated_behavior(dataset: Dataset, shell: Policy, scratch: Path) -> Policy:
    """An estimate of the logging policy, by behaviour cloning on ``train``, as a policy of its own."""
    integer = dataset.specification.observation.kind == "int"
    table: dict[str, Value] = {"model": "table", "discretizer": "integer"}
    network: dict[str, Value] = {"model": "network", "hidden": (64,)}
    variant = VariantSpecification("behavior_cloning", {**(table if integer else network), "temperature": 1.0})
    scratch.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=".behavior-", dir=scratch))
    try:
        columns = save_columns(dataset, directory / "dataset")
        trained = train_component(columns, None, variant)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    provenance = replace(
        shell.provenance,
        dataset=dataset.identifier,
        algorithm=variant.algorithm,
        hyperparameters=trained.hyperparameters,
        training=dict(trained.statistics),
        note="an estimate of the policy that wrote the log",
    )
    return shell.with_layer(trained.component, 1.0, version="0", provenance=provenance)
