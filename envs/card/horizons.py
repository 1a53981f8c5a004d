"""The grade of a log at shorter horizons: what could be proven if an episode's return counted fewer decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from envs.card.evidence import gather_evidence
from envs.card.grade import grade_log
from envs.card.leaks import foretelling_fields
from envs.card.repeats import without_copies
from envs.dataset import Dataset


def grades_by_horizon(dataset: Dataset) -> dict[int, str]:
    """Grade at the horizons 1, 2, 4, … and the declared one, shortest first.

    A grade belongs to a horizon: a product of few ratios has overlap where one of many has none. Each is
    found as the declared horizon's is, from the same rows; a shorter horizon is another question, about
    the return of an episode's first decisions.
    """
    declared = dataset.specification.horizon
    horizons = [2**power for power in range(declared.bit_length()) if 2**power < declared]
    foretelling = foretelling_fields(without_copies(dataset))
    return {horizon: _grade(dataset, horizon, foretelling) for horizon in [*horizons, declared]}


def _grade(dataset: Dataset, horizon: int, foretelling: Mapping[str, float]) -> str:
    inferred = tuple(name for name in dataset.specification.inferred if name != "horizon")  # it is asked for
    specification = replace(dataset.specification, horizon=horizon, inferred=inferred)
    evidence = gather_evidence(replace(dataset, specification=specification), foretelling=foretelling)
    return grade_log(evidence, specification)[0]
