"""``evaluate`` and ``compare``: what policies are worth on a log, without spending a look at ``final``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ai_engine.deploy.references import parse_reference, resolve_reference
from ai_engine.text import interval, number, signed, table
from ai_engine.workspace import Workspace, open_workspace
from algorithms.on_log import probabilities_on, without_blind_ends
from algorithms.ope.cross_fitting import cross_fit
from algorithms.ope.estimate import Estimate
from algorithms.ope.intervals import student_t, unit_values
from algorithms.ope.model_classes import evaluation_models
from algorithms.ope.padding import trajectories_from
from algorithms.ope.registry import ESTIMATORS
from algorithms.policy import Policy
from algorithms.policy.provenance import plain_json
from envs.dataset import Dataset
from envs.errors import DataError
from envs.home import Home
from tune_configs.judge import FOLDS, Judge, episodes_in
from tune_configs.trial import behavior_propensities


@dataclass(frozen=True, slots=True)
class EvaluateResult:
    """A policy valued on a log.

    Attributes:
        policy: its reference.
        on: the agent whose log it is valued on.
        split: the rows that were read: ``select``, or ``all`` for another agent's log.
        logged: mean return of the log itself with its interval.
        estimates: by every estimator.
    """

    policy: str
    on: str
    split: str
    logged: Estimate
    estimates: tuple[Estimate, ...]

    def to_json(self) -> dict[str, Any]:
        """One document; figures that are not finite are null."""
        plain: dict[str, Any] = plain_json(
            {
                "schema_version": 1,
                "policy": self.policy,
                "on": self.on,
                "split": self.split,
                "logged": asdict(self.logged),
                "estimates": [asdict(estimate) for estimate in self.estimates],
            }
        )
        return plain

    def to_text(self) -> str:
        """A row for each estimator, and one sentence."""
        rows = [
            (
                estimate.estimator,
                number(estimate.value, 4),
                interval(estimate.lower, estimate.upper)
                + (" unusable" if estimate.refused and np.isfinite(estimate.value) else ""),
                f"{estimate.effective_sample_size:,.0f} of {estimate.units:,}",
                estimate.refused or estimate.evidence,
            )
            for estimate in (self.logged, *self.estimates)
        ]
        usable = [e for e in self.estimates if e.usable and e.evidence == "log"]
        if usable:
            best = next((e for e in usable if e.estimator == "doubly_robust"), usable[0])
            sentence = (
                f"{self.policy} is worth {number(best.value, 4)} {interval(best.lower, best.upper)} "
                f"on the log of {self.on}, which earned {number(self.logged.value, 4)} itself."
            )
        else:
            sentence = f"The log of {self.on} cannot say what {self.policy} is worth: {self.estimates[0].refused}."
        header = ("estimator", "value", "95 % interval", "effective units", "evidence")
        return f"{table(header, rows)}\n{sentence}"


def evaluate(
    reference: str,
    *,
    on: str,
    home: Home | str | Path | None = None,
    force: bool = False,
    confidence: float = 0.95,
) -> EvaluateResult:
    """Value a policy on an agent's log by every estimator.

    On its own agent's log it reads ``select``; on another agent's, which it never learned from, all rows.

    Args:
        reference: ``NAME``, ``NAME@14`` or a file.
        on: the agent whose log is used.
        home: the home.
        force: print refused numbers too; they stay marked unusable.
        confidence: of the intervals.

    Raises:
        DataError: the policy's actions or observations are not the log's.
    """
    workspace = open_workspace(on, home)
    policy = aligned(_with_own_rule(workspace, reference), workspace.dataset)
    own = policy.agent == on
    probabilities = probabilities_on(workspace.dataset, policy)
    dataset = without_blind_ends(workspace.dataset, probabilities)
    evaluated = episodes_in(dataset, "select") if own else np.ones(dataset.episode_count, dtype=bool)
    fitted = episodes_in(dataset, "train") if own else np.zeros(dataset.episode_count, dtype=bool)
    model = next(iter(evaluation_models(dataset, fitted | evaluated).values()))
    q, v = cross_fit(model, dataset, probabilities[None], evaluated=evaluated, always=fitted, folds=FOLDS)
    subset, of = dataset.select_episodes(evaluated), evaluated[dataset.episode_index]
    propensities = behavior_propensities(dataset)
    trajectories = trajectories_from(
        subset,
        probabilities[dataset.rows[of]],
        q=q[0],
        v=v[0],
        propensities=None if propensities is None else propensities[of],
    )
    units = None if dataset.specification.unit == "episode" else subset.units
    returns = unit_values(trajectories.returns, units)
    logged = student_t(returns, confidence)
    count = len(returns)
    return EvaluateResult(
        policy=str(parse_reference(reference)),
        on=on,
        split="select" if own else "all",
        logged=Estimate(logged.value, logged.lower, logged.upper, confidence, "logged", float(count), count),
        estimates=tuple(
            _honest(estimator(trajectories, confidence, force=force, units=units)) for estimator in ESTIMATORS.values()
        ),
    )


def _honest(estimate: Estimate) -> Estimate:
    """A model's number without an interval: one over first states alone would pose as the model's error."""
    if estimate.evidence != "model":
        return estimate
    return replace(estimate, lower=float("nan"), upper=float("nan"), confidence=0.0)


def aligned(policy: Policy, dataset: Dataset) -> Policy:
    """The policy, if its declaration is the log's.

    Raises:
        DataError: other actions or observation fields; names the first.
    """
    specification = dataset.specification
    where = f"policy {policy.agent}@{policy.version}"
    if tuple(policy.actions) != tuple(specification.actions):
        other = set(policy.actions) ^ set(specification.actions)
        raise DataError(
            f"its actions are not those of {specification.name}: {len(other)} differ or their order does",
            where=where,
            remedy="declare the same actions in the same order for both agents",
        )
    # Categories may be numbered otherwise: they are read by name (algorithms.on_log.recoded).
    ours, theirs = ([(f.name, f.type) for f in each.observation.fields] for each in (policy, specification))
    if ours != theirs:
        raise DataError(
            f"its observation is not that of {specification.name}",
            where=where,
            remedy="declare the same fields of the same types in the same order for both agents",
        )
    return policy


@dataclass(frozen=True, slots=True)
class CompareResult:
    """Policies side by side on ``select``.

    Attributes:
        agent: the agent.
        champion: whom gains are taken against.
        policies: references.
        values: expected return of each.
        gains: paired difference of each to the champion.
        agreement: share of the log's decisions in which the most probable action is the champion's.
        parameters: for each policy the hyperparameters that are not the same in all.
    """

    agent: str
    champion: str
    policies: tuple[str, ...]
    values: tuple[Estimate, ...]
    gains: tuple[Estimate, ...]
    agreement: tuple[float, ...]
    parameters: tuple[Mapping[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """One document; figures that are not finite are null."""
        document = {name: getattr(self, name) for name in self.__slots__}
        document["values"] = [asdict(item) for item in self.values]
        document["gains"] = [asdict(item) for item in self.gains]
        plain: dict[str, Any] = plain_json({"schema_version": 1, **document})
        return plain

    def to_text(self) -> str:
        """A row for each policy and one plain sentence."""
        rows = [
            (
                name,
                number(value.value, 4),
                signed(gain.value),
                interval(gain.lower, gain.upper) if gain.usable else f"refused: {gain.refused}",
                f"{agreement:.0%}",
                ", ".join(f"{key}={item}" for key, item in parameters.items()),
            )
            for name, value, gain, agreement, parameters in zip(
                self.policies, self.values, self.gains, self.agreement, self.parameters, strict=True
            )
        ]
        better = [n for n, gain in zip(self.policies, self.gains, strict=True) if gain.usable and gain.lower > 0]
        sentence = (
            f"On select, better than {self.champion}: {', '.join(better)}; the gate decides."
            if better
            else f"On select, none is shown to be better than {self.champion}."
        )
        header = ("policy", "value", "gain", "95 % interval", "agrees", "what differs")
        return f"{table(header, rows)}\n{sentence}"


def compare(*references: str, home: Home | str | Path | None = None) -> CompareResult:
    """Value policies of one agent on ``select`` and take their differences to the champion.

    Raises:
        DataError: no reference, or references to several agents.
    """
    if not references:
        raise DataError("nothing to compare", where="compare", remedy="name at least one policy")
    found = Home.find(home)
    agents = {parse_reference(text).agent for text in references if parse_reference(text).path is None}
    if len(agents) != 1:
        raise DataError(
            f"references to {len(agents)} agents", where="compare", remedy="compare versions of one agent by name"
        )
    workspace = open_workspace(agents.pop(), found)
    policies = [
        aligned(resolve_reference(workspace.registry, text, base=workspace.rule), workspace.dataset)
        for text in references
    ]
    others = [policy.agent for policy in policies if policy.agent != workspace.name]
    if others:
        raise DataError(
            f"a policy of {others[0]} among those of {workspace.name}",
            where="compare",
            remedy=f"use retrainer evaluate --on {workspace.name}",
        )
    champion = workspace.champion()
    dataset, (base, *probabilities) = workspace.with_known_ends(champion, *policies)
    dataset_propensities = behavior_propensities(dataset)
    judge = Judge(
        dataset,
        base,
        evaluated=episodes_in(dataset, "select"),
        fitted=episodes_in(dataset, "train"),
        propensities=dataset_propensities,
    )
    judgements = [judge.judge(item) for item in probabilities]
    ours = base[judge.rows].argmax(axis=1)
    return CompareResult(
        agent=workspace.name,
        champion=f"{workspace.name}@{champion.version}",
        policies=tuple(str(parse_reference(text)) for text in references),
        values=tuple(judgement.value for judgement in judgements),
        gains=tuple(judgement.gain for judgement in judgements),
        agreement=tuple(float((item[judge.rows].argmax(axis=1) == ours).mean()) for item in probabilities),
        parameters=_differing([dict(policy.provenance.hyperparameters) for policy in policies]),
    )


def _differing(parameters: list[dict[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    names = {name for each in parameters for name in each}
    differs = [name for name in sorted(names) if len({repr(each.get(name)) for each in parameters}) > 1]
    return tuple({name: each[name] for name in differs if name in each} for each in parameters)


def _with_own_rule(workspace: Workspace, reference: str) -> Policy:
    """The policy, bound to its own agent's rule where this home declares one, whatever the reference says."""
    policy = resolve_reference(workspace.registry, reference, base=_not_at_hand)
    home = workspace.home
    return policy.bind(home.rule(policy.agent) if policy.agent in home.agents() else None)


def _not_at_hand(observation: Any) -> Any:
    raise AssertionError("the rule is bound after its policy was read")
