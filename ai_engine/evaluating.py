"""``evaluate``: what a policy is worth on a log, without spending a look at ``final``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ai_engine.deploy.references import parse_reference, resolve_reference
from ai_engine.evaluation_diagnostics import Diagnostics, diagnostics_of
from ai_engine.provisos import provisos
from ai_engine.served import Reference, is_function, served
from ai_engine.taught import TAUGHT, barred, learned_from_select
from ai_engine.text import interval, number, table
from ai_engine.workspace import Workspace, open_workspace
from algorithms.on_log import probabilities_on, without_blind_ends
from algorithms.ope.censoring import censoring_survival, censoring_weighted
from algorithms.ope.cross_fitting import cross_fit
from algorithms.ope.estimate import Estimate
from algorithms.ope.intervals import studentised, unit_values
from algorithms.ope.model_classes import evaluation_models
from algorithms.ope.padding import censored, trajectories_from
from algorithms.ope.registry import NEEDS_STATE_RATIOS, estimators_for
from algorithms.ope.state_ratios import cross_fit_state_ratios, ratio_states
from algorithms.ope.support import undrawn_refusal
from algorithms.ope.trajectories import Trajectories
from algorithms.policy import Policy
from algorithms.policy.provenance import plain_json
from envs.card.history import history_test
from envs.card.overlap import episode_returns
from envs.dataset import Dataset
from envs.errors import DataError
from envs.home import Home
from tune_configs.judge import FOLDS, SELECT_RULE, episodes_in
from tune_configs.trial import unlogged_behavior

CUT_AS_ENDS = "it would take episodes that were cut before the horizon for ended ones"


@dataclass(frozen=True, slots=True)
class EvaluateResult:
    """A policy valued on a log.

    Attributes:
        policy: its reference.
        on: the agent whose log it is valued on.
        grade: of that log.
        split: the rows that were read: ``select``, or ``all`` for another agent's log.
        propensities: ``logged`` or ``estimated``.
        cut: episodes that were cut before the horizon, which are weighed for.
        logged: mean return of the log itself with its interval.
        estimates: by every estimator.
        diagnostics: what they hang on; ``None`` where the policy takes no logged action.
    """

    policy: str
    on: str
    grade: str
    split: str
    propensities: str
    cut: int
    logged: Estimate
    estimates: tuple[Estimate, ...]
    diagnostics: Diagnostics | None = None

    def to_json(self) -> dict[str, Any]:
        """One document; figures that are not finite are null."""
        plain: dict[str, Any] = plain_json(
            {
                "schema_version": 1,
                "policy": self.policy,
                "on": self.on,
                "grade": self.grade,
                "split": self.split,
                "propensities": self.propensities,
                "cut": self.cut,
                "logged": asdict(self.logged),
                "estimates": [asdict(estimate) for estimate in self.estimates],
                "diagnostics": asdict(self.diagnostics) if self.diagnostics else None,
            }
        )
        return plain

    @property
    def _rows(self) -> str:
        return f"the {self.split} episodes of {self.on}" if self.split != "all" else f"the log of {self.on}"

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
            seen = ", as far as it was seen" if self.cut else ""
            sentence = (
                f"{self.policy} is worth {number(best.value, 4)} {interval(best.lower, best.upper)} "
                f"on {self._rows}, which earned {number(self.logged.value, 4)} itself{seen}."
            )
        else:
            nearest = next((e for e in self.estimates if e.estimator == "doubly_robust"), self.estimates[0])
            sentence = f"{self._rows.capitalize()} cannot say what {self.policy} is worth: {nearest.refused}."
        sentence += provisos(self.grade, estimated=self.propensities == "estimated", cut=self.cut)
        header = ("estimator", "value", "95 % interval", "effective units", "evidence")
        hangs_on = [f"- {text}" for text in (self.diagnostics.sentences if self.diagnostics else ())]
        return "\n".join([table(header, rows), *hangs_on, sentence])


def evaluate(
    reference: Reference,
    *,
    on: str,
    home: Home | str | Path | None = None,
    force: bool = False,
    confidence: float = 0.95,
) -> EvaluateResult:
    """Value a policy on an agent's log by every estimator.

    On its own agent's log it reads ``select``, and refuses what ``select`` taught; on another agent's, which it
    never learned from, all rows. A function is valued on ``select``, as the agent would serve it, floor included.

    Args:
        reference: ``NAME``, ``NAME@14``, a file, a function or ``module:function``.
        on: the agent whose log is used.
        home: the home.
        force: print refused numbers too; they stay marked unusable.
        confidence: of the intervals.

    Raises:
        DataError: the policy's actions or observations are not the log's.
    """
    workspace = open_workspace(on, home)
    name, policy = _named(workspace, reference)
    own = policy.agent == on or is_function(reference)
    probabilities = probabilities_on(workspace.dataset, policy)
    dataset = without_blind_ends(workspace.dataset, probabilities)
    evaluated = episodes_in(dataset, "select") if own else np.ones(dataset.episode_count, dtype=bool)
    fitted = episodes_in(dataset, "train") if own else np.zeros(dataset.episode_count, dtype=bool)
    model_class, model = next(iter(evaluation_models(dataset, fitted | evaluated).items()))
    q, v = cross_fit(model, dataset, probabilities[None], evaluated=evaluated, always=fitted, folds=FOLDS)
    subset, of = dataset.select_episodes(evaluated), evaluated[dataset.episode_index]
    behavior = unlogged_behavior(dataset)
    propensities = None if behavior is None else behavior[np.arange(len(dataset)), dataset.actions]
    ratios = None
    if dataset.specification.horizon > 1:
        ratios = cross_fit_state_ratios(
            ratio_states(dataset, fitted | evaluated),
            dataset,
            probabilities[None],
            evaluated=evaluated,
            always=fitted,
            folds=FOLDS,
            propensities=propensities,
        )[0]
    trajectories = trajectories_from(
        subset,
        probabilities[dataset.rows[of]],
        q=q[0],
        v=v[0],
        state_log_ratios=ratios,
        markov=ratios is not None and history_test(dataset.split("train", "select") if own else dataset).shows_states,
        behavior=None if behavior is None else behavior[of],
    )
    units = None if dataset.specification.unit == "episode" else subset.units
    weighed = censoring_weighted(subset, trajectories, censoring_survival(subset))
    estimates = every_estimate(trajectories, weighed, confidence, units=units, force=force, select=own)
    if own and learned_from_select(workspace, policy):
        estimates = tuple(_refused(each, TAUGHT, force) for each in estimates)
    return EvaluateResult(
        policy=name,
        on=on,
        grade=workspace.card().grade,
        split="select" if own else "all",
        propensities="logged" if behavior is None else "estimated",
        cut=int(censored(subset).sum()),
        logged=logged_return(subset, units, confidence),
        estimates=estimates,
        diagnostics=diagnostics_of(
            subset,
            trajectories,
            weighed,
            units=units,
            model=model_class,
            propensities=None if propensities is None else propensities[of],
            estimates=estimates,
        ),
    )


def every_estimate(
    trajectories: Trajectories,
    weighed: Trajectories,
    confidence: float,
    *,
    units: np.ndarray | None,
    force: bool = False,
    select: bool = False,
) -> tuple[Estimate, ...]:
    """The value of a policy by every estimator that answers at the log's horizon, with what it carries.

    Args:
        trajectories: the episodes under the policy; marginal weights carry a model's value of what was cut off.
        weighed: the same for all other estimators, weighed for episodes that were cut.
        confidence: of the intervals.
        units: independent unit of each episode, ``None`` where it is the episode.
        force: give refused numbers too.
        select: whether the episodes are those of ``select``: there ``doubly_robust``, by which variants are judged,
            asks for as much overlap as the gate's final units will need, in proportion.
    """
    with_ratios = trajectories.state_log_ratios is not None
    undrawn, found = undrawn_refusal(weighed, units), []
    for name, estimator in estimators_for(trajectories.horizon, state_ratios=with_ratios).items():
        rule = {"overlap": SELECT_RULE} if select and name == "doubly_robust" else {}
        read = trajectories if name in NEEDS_STATE_RATIOS else weighed
        estimate = _honest(estimator(read, confidence, force=force, units=units, **rule))
        reason = ""
        if name == "marginalized_importance_sampling" and weighed.at_random:
            reason = CUT_AS_ENDS  # without a model of values nothing stands for what was cut off
        elif name not in NEEDS_STATE_RATIOS and estimate.evidence == "log" and not estimate.refused:
            reason = undrawn
        if reason:
            estimate = _refused(estimate, reason, force)
        found.append(estimate)
    return tuple(found)


def logged_return(dataset: Dataset, units: np.ndarray | None, confidence: float) -> Estimate:
    """What the log earned itself, of episodes that were cut as far as they were seen."""
    returns = unit_values(episode_returns(dataset), units)
    found, count = studentised(returns, confidence), len(returns)
    return Estimate(found.value, found.lower, found.upper, confidence, "logged", float(count), count)


def _refused(estimate: Estimate, reason: str, force: bool) -> Estimate:
    """The estimate for a reason refused, with its numbers where they are forced."""
    return replace(estimate, refused=reason) if force else barred(estimate, reason)


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


def _named(workspace: Workspace, reference: Reference) -> tuple[str, Policy]:
    """What the reader calls the policy, and the policy."""
    if is_function(reference) or not isinstance(reference, str):
        function = served(workspace.specification, reference, workspace.home, where="evaluate")
        return function.agent, function
    policy = aligned(_with_own_rule(workspace, reference), workspace.dataset)
    return str(parse_reference(reference)), policy


def _with_own_rule(workspace: Workspace, reference: str) -> Policy:
    """The policy, bound to its own agent's rule where this home declares one, whatever the reference says."""
    policy = resolve_reference(workspace.registry, reference, base=_not_at_hand)
    home = workspace.home
    return policy.bind(home.rule(policy.agent) if policy.agent in home.agents() else None)


def _not_at_hand(observation: Any) -> Any:
    raise AssertionError("the rule is bound after its policy was read")
