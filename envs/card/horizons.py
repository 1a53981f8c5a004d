"""The grade of a log at shorter horizons: what could be proven if an episode's return counted fewer decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from envs.card.evidence import Evidence, gather_evidence
from envs.card.findings import Finding
from envs.card.grade import grade_log
from envs.card.spoilt import lowered
from envs.dataset import Dataset


def grades_by_horizon(dataset: Dataset, findings: Sequence[Finding] = ()) -> dict[int, str]:
    """Grade at the horizons 1, 2, 4, … and the declared one, shortest first.

    A grade belongs to a horizon: a product of few ratios has overlap where one of many has none. Each is
    found as the declared horizon's is, from the same rows; a shorter horizon is another question, about
    the return of an episode's first decisions.

    Args:
        dataset: the log.
        findings: of its card; what spoils the records lowers the grades here too.
    """
    # That the horizon is a guess is no matter here: it is asked for.
    inferred = tuple(name for name in dataset.specification.inferred if name != "horizon")
    dataset = replace(dataset, specification=replace(dataset.specification, inferred=inferred))
    declared = gather_evidence(dataset)
    horizon = dataset.specification.horizon
    shorter = [2**power for power in range(horizon.bit_length()) if 2**power < horizon]
    grades = {each: _grade(dataset, each, declared) for each in shorter}
    grades[horizon] = grade_log(declared, dataset.specification)[0]
    return {each: lowered(grade, findings, each)[0] for each, grade in grades.items()}


def _grade(dataset: Dataset, horizon: int, declared: Evidence) -> str:
    specification = replace(dataset.specification, horizon=horizon)
    evidence = gather_evidence(replace(dataset, specification=specification), like=declared)
    return grade_log(evidence, specification)[0]
