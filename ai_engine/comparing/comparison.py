"""``compare``: from references to the document. It reads ``train`` and ``select``, never ``final``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ai_engine.comparing.candidates import Candidate, Reference, agent_of, candidate
from ai_engine.comparing.differences import differences
from ai_engine.comparing.evidence import SPLIT, Evidence, gather
from ai_engine.comparing.result import ComparedPolicy, CompareResult
from ai_engine.comparing.what_if import with_reward
from ai_engine.evaluating import every_estimate, logged_return
from ai_engine.reports.pages import check_place
from ai_engine.runs import list_runs
from ai_engine.workspace import open_workspace
from algorithms.ope.disagreement import most_probable_agrees
from algorithms.ope.intervals import unit_log_weights
from algorithms.ope.multiple_testing import corrected
from algorithms.ope.padding import censored
from algorithms.ope.weight_histogram import weight_histogram
from algorithms.policy.provenance import Provenance, plain_json
from envs.errors import DataError
from envs.home import Home
from tune_configs.training import LearningCurve


def compare(
    *references: Reference,
    against: Reference | None = None,
    on: str | None = None,
    reward: str | None = None,
    home: Home | str | Path | None = None,
    html: str | Path | None = None,
    confidence: float = 0.95,
) -> CompareResult:
    """Policies of one agent side by side on ``select``.

    Each is valued by every estimator that answers at the horizon; the paired differences to the reference
    are taken over all episodes, within segments of episodes and within regions of states, and each number
    is refused where the log does not reach it.

    Args:
        references: ``NAME``, ``NAME@14``, a file, ``module:function``, or a callable ``observation -> action``
            (or ``-> {action: probability}``), which is valued with the agent's exploration floor.
        against: the reference of all differences; the champion by default.
        on: the agent, where no reference names it.
        reward: another reward expression over ``outcome``, by which everything is valued anew.
        home: the home.
        html: a file that the page is written to as well, in a folder that is there.
        confidence: of the intervals.

    Raises:
        DataError: nothing to compare, references to several agents, outcomes that ``reward`` cannot read, or a page
            that cannot be written there.
        RegistryError, ArtefactError, SpecificationError: a reference names nothing that can be used.
    """
    if not references:
        raise DataError("nothing to compare", where="compare", remedy="name at least one policy")
    if html is not None:
        check_place(html)
    found = Home.find(home)
    named = [*references, *([] if against is None else [against])]
    workspace = open_workspace(agent_of(named, on, found), found)
    present = f"{workspace.name}@{workspace.champion().version}"
    base = candidate(workspace, present if against is None else against)
    others = _distinct(base, [candidate(workspace, each) for each in _named_once(references, against)])
    if not others:
        raise DataError(
            f"every reference is {base.reference}, which the others would be compared with",
            where="compare",
            remedy="name another policy, or another reference with --against REF",
        )
    evidence = gather(workspace if reward is None else with_reward(workspace, reward), [base, *others])
    policies = _policies(evidence, confidence)
    differ = differences(evidence, confidence)
    result = CompareResult(
        agent=workspace.name,
        against=base.reference,
        champion=present,
        grade=evidence.judge.grade,
        split=SPLIT,
        reward=evidence.workspace.specification.reward,
        what_if=reward is not None,
        propensities="logged" if evidence.judge.behavior is None else "estimated",
        confidence=confidence,
        tests=differ.tests,
        decisions=len(evidence.judge.rows),
        units=policies[0].gain.estimate.units,
        action_names=tuple(map(str, workspace.specification.actions)),
        logged=logged_return(evidence.judge.subset, evidence.judge.units, confidence),
        reference=policies[0],
        policies=tuple(policies[1:]),
        regions=differ.regions,
        segments=differ.segments,
        cut=int(censored(evidence.judge.subset).sum()),
    )
    if html is not None:
        from ai_engine.reports.compare_page import write_comparison

        write_comparison(result, html)
    return result


def _named_once(references: Sequence[Reference], against: Reference | None) -> list[Reference]:
    """The references without those that were given before."""
    return [each for number, each in enumerate(references) if each not in (against, *references[:number])]


def _distinct(base: Candidate, others: Sequence[Candidate]) -> list[Candidate]:
    """Those that are another version than the reference and than each one before: a repeat is no further test."""
    seen = {base.registered} - {""}
    found = []
    for each in others:
        if each.registered not in seen:
            found.append(each)
            seen |= {each.registered} - {""}
    return found


def _policies(evidence: Evidence, confidence: float) -> list[ComparedPolicy]:
    judgements = [evidence.judgement(number) for number in range(len(evidence.candidates))]
    gains = corrected([judgement.gain for judgement in judgements], confidence)
    curves = _curves(evidence.workspace.home, evidence.workspace.name)
    parameters = differing([each.policy.provenance for each in evidence.candidates])
    decided, units = evidence.decided, evidence.judge.units
    found = []
    for number, (each, judgement, gain) in enumerate(zip(evidence.candidates, judgements, gains, strict=True)):
        trajectories = evidence.trajectories[number]
        plain, weighed = evidence.unweighed[number], evidence.weighed[number]
        estimates = every_estimate(plain, weighed, confidence, units=units, select=True)
        found.append(
            ComparedPolicy(
                reference=each.reference,
                algorithm=each.policy.provenance.algorithm,
                note=each.policy.provenance.note,
                value=judgement.value,
                gain=gain,
                model_gain=judgement.model_gain,
                estimates=tuple(evidence.honest_value(number, estimate) for estimate in estimates),
                agreement=float(most_probable_agrees(decided[number], decided[0]).mean()),
                distance=float(evidence.distances[number].mean()),
                actions=tuple(decided[number].mean(axis=0).tolist()),
                weights=weight_histogram(unit_log_weights(trajectories.log_ratios.sum(axis=1), units)),
                parameters=parameters[number],
                curve=curves.get(each.registered),
            )
        )
    return found


def _curves(home: Home, agent: str) -> dict[str, LearningCurve]:
    """How the training of each version went, as far as the runs of the home know."""
    found = {}
    for run in list_runs(home, agent):
        for variant in (run.read("result.json") or {}).get("variants", ()):
            if variant.get("version") and variant.get("curve", {}).get("values"):
                found[str(variant["version"])] = LearningCurve.from_json(variant["curve"])
    return found


def differing(policies: Sequence[Provenance]) -> tuple[Mapping[str, Any], ...]:
    """Of each policy the hyperparameters that differ within an algorithm, or between algorithms that share them."""
    settings = [policy.hyperparameters for policy in policies]
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for policy in policies:
        groups.setdefault(policy.algorithm, []).append(policy.hyperparameters)
    shown = []
    for name in sorted({name for each in settings for name in each}):
        within = any(len({repr(each.get(name)) for each in group}) > 1 for group in groups.values())
        if within or len({repr(each[name]) for each in settings if name in each}) > 1:
            shown.append(name)
    return tuple({name: plain_json(each[name]) for name in shown if name in each} for each in settings)
