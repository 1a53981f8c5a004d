"""Where and for whom the policies differ: regions of states, segments of episodes, one family of tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ai_engine.comparing.evidence import Evidence
from ai_engine.comparing.result import ComparedRegion, ComparedSegment, RegionReach, RegionShift
from ai_engine.comparing.what_if import tenants_of
from algorithms.ope.diagnostics import overlap_by_region
from algorithms.ope.disagreement import followed_in
from algorithms.ope.estimate import Estimate
from algorithms.ope.expected_error import no_difference, residual_variances
from algorithms.ope.multiple_testing import Effect, corrected, is_test
from algorithms.ope.padding import pad
from algorithms.ope.paired import paired_estimate
from algorithms.ope.readable_partition import Region, readable_partition, region_of
from algorithms.ope.segment_effects import Segmentation, segment_effects, segmentations
from envs.dataset import TRAIN
from tune_configs.judge import SELECT_RULE


@dataclass(frozen=True, slots=True)
class Differences:
    """Where and for whom the policies differ.

    Attributes:
        regions: regions of states, most disagreement first.
        segments: segments of episodes.
        tests: effects that were tested, over both together.
    """

    regions: tuple[ComparedRegion, ...]
    segments: tuple[ComparedSegment, ...]
    tests: int


def differences(evidence: Evidence, confidence: float) -> Differences:
    """The gains in every region and segment, corrected as one family."""
    regions = _regions(evidence)
    names = [region.name(evidence.dataset.specification.observation) for region in regions]
    code = region_of(regions, evidence.dataset.observations)
    divided = _segmentations(evidence, names, code)
    segments = [(each, name) for each in divided for name in each.segments]
    by_region = _region_gains(evidence, code, len(regions))
    by_segment = _segment_gains(evidence, divided)
    raw = [estimate for row in (*by_region, *by_segment) for estimate in row]
    effects = iter(corrected(raw, confidence))
    compared = _compared_regions(evidence, names, code[evidence.judge.rows], effects)
    ordered = sorted(compared, key=lambda region: -region.share * sum(shift.distance for shift in region.shifts))
    return Differences(
        tuple(region for region in ordered if any(shift.distance > 0 for shift in region.shifts)),
        tuple(
            ComparedSegment(each.name, name, int((each.labels == name).sum()), _take(effects, evidence))
            for each, name in segments
        ),
        sum(is_test(estimate) for estimate in raw),
    )


def _regions(evidence: Evidence) -> tuple[Region, ...]:
    """Regions of like disagreement; found on ``train``, so that no row decides where it is counted."""
    dataset = evidence.dataset
    rows = dataset.rows[(dataset.splits == TRAIN)[dataset.episode_index]]
    rows = rows if len(rows) else evidence.judge.rows
    shifts = evidence.probabilities[1:, rows] - evidence.probabilities[:1, rows]
    targets = shifts.transpose(1, 0, 2).reshape(len(rows), -1)
    return readable_partition(dataset.observations[rows], dataset.specification.observation, targets)


def _segmentations(evidence: Evidence, names: list[str], code: np.ndarray) -> tuple[Segmentation, ...]:
    """The ways to divide the evaluated episodes; by the region they begin in, where there is no other."""
    judge = evidence.judge
    tenants = np.array(tenants_of(evidence.workspace), dtype=np.str_)[judge.evaluated]
    found = segmentations(judge.subset, tenants.tolist())
    if found:
        return found
    first = code[judge.rows[judge.subset.offsets[:-1]]]
    began = Segmentation("first state", np.array(names, dtype=np.str_)[first])
    return (began,) if len(began.segments) > 1 else ()


def _region_gains(evidence: Evidence, code: np.ndarray, count: int) -> list[list[Estimate]]:
    """Gain of each policy where it is followed in one region only: a row for each region."""
    base, *others = evidence.probabilities
    table: list[list[Estimate]] = [[] for _ in range(count)]
    decided = code[evidence.judge.rows]
    for number, policy in enumerate(others, start=1):
        distances = np.bincount(decided, weights=evidence.distances[number], minlength=count)
        partial = np.stack([followed_in(code == region, policy, base) for region in range(count)])
        for row, estimate, distance in zip(table, _gains(evidence, partial), distances, strict=True):
            row.append(evidence.honest_gain(number, estimate if distance > 0.0 else no_difference(estimate)))
    return table


def _gains(evidence: Evidence, probabilities: np.ndarray) -> Iterator[Estimate]:
    judge = evidence.judge
    champion = evidence.trajectories[0]
    variances = residual_variances(champion)
    for candidate in judge.differences(probabilities)[1]:
        estimate = paired_estimate(candidate, champion, overlap=judge.rule, units=judge.units, marginal=judge.marginal)
        yield evidence.at_least_expected(estimate, candidate, variances)


def _segment_gains(evidence: Evidence, divided: tuple[Segmentation, ...]) -> list[list[Estimate]]:
    """Gain of each policy within each segment: a row for each segment."""
    judge, (base, *others), table = evidence.judge, evidence.trajectories, []
    episode = judge.subset.episode_index
    differ = [np.bincount(episode, weights=distance) > 0.0 for distance in evidence.distances[1:]]
    for segmentation in divided:
        columns = [
            segment_effects(each, base, segmentation, overlap=SELECT_RULE, units=judge.units, differ=own)
            for each, own in zip(others, differ, strict=True)
        ]
        for name in segmentation.segments:
            table.append([evidence.honest_gain(number, column[name]) for number, column in enumerate(columns, start=1)])
    return table


def _compared_regions(
    evidence: Evidence, names: list[str], code: np.ndarray, effects: Iterator[Effect]
) -> list[ComparedRegion]:
    judge, decided = evidence.judge, evidence.decided
    padded = pad(judge.subset, np.array(names, dtype=np.str_)[code], judge.dataset.specification.horizon)
    overlaps = [
        {region.region: region for region in overlap_by_region(each, padded, units=judge.units)}
        for each in evidence.trajectories
    ]
    found = []
    for number, name in enumerate(names):
        here = code == number
        gains = _take(effects, evidence)
        if not here.any():
            continue
        reached = [each.get(name) for each in overlaps]  # none has been there within the horizon
        found.append(
            ComparedRegion(
                name=name,
                decisions=int(here.sum()),
                share=float(here.mean()),
                actions=tuple(decided[0][here].mean(axis=0).tolist()),
                shifts=tuple(
                    RegionShift(float(distance[here].mean()), tuple(policy[here].mean(axis=0).tolist()), gain)
                    for distance, policy, gain in zip(evidence.distances[1:], decided[1:], gains, strict=True)
                ),
                reach=tuple(
                    RegionReach(each.target_share, each.effective, each.units) if each else RegionReach(0.0, 0.0, 0)
                    for each in reached
                ),
            )
        )
    return found


def _take(effects: Iterator[Effect], evidence: Evidence) -> tuple[Effect, ...]:
    """The next effects, one for each policy."""
    return tuple(next(effects) for _ in evidence.candidates[1:])
