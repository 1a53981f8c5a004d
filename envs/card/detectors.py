"""Detectors: what else in a log a reader should know before believing a number from it."""

from __future__ import annotations

import numpy as np

from envs.build_report import BuildReport
from envs.card.drift import drift
from envs.card.evidence import Evidence, complete_episodes
from envs.card.findings import Finding
from envs.card.leaks import leaks
from envs.card.lone_return import lone_return
from envs.card.regions import untried_regions
from envs.card.repeats import repeated_episodes, repeated_steps, shuffled_steps, without_copies
from envs.card.reported import reported
from envs.card.tenants import mixed_tenants
from envs.card.unknown_values import unknown_values
from envs.dataset import Dataset
from envs.specification import INFORMATIVE

# Of the steps that could show a change, this share without one is no coincidence.
UNCHANGED = 0.999


def detect(dataset: Dataset, report: BuildReport, evidence: Evidence) -> list[Finding]:
    """All findings that do not decide the grade.

    Args:
        dataset: the log.
        report: what its building left out.
        evidence: the log's figures.
    """
    once = without_copies(dataset)  # a copy agrees with what it was copied from, and that is no chance
    chancy = evidence.actions_tried > 1 and not evidence.deterministic
    found = [
        _static_observations(dataset),
        _unknown_ends(dataset),
        _cut_episodes(dataset),
        repeated_episodes(dataset, once),
        repeated_steps(dataset),
        shuffled_steps(dataset),
        lone_return(dataset),
        *leaks(once, evidence.foretelling),
        *drift(once),
        mixed_tenants(once),
        *unknown_values(dataset),
        _untried_actions(dataset),
        *(untried_regions(dataset) if chancy else ()),
        *reported(report, len(dataset)),
        _inferred(dataset),
    ]
    return [finding for finding in found if finding is not None]


def _static_observations(dataset: Dataset) -> Finding | None:
    """The next observation repeats the one before, though observations differ between episodes."""
    known = dataset.next_known
    rows = dataset.rows[known]
    if len(rows) < 20:
        return None
    before, after = dataset.observations[rows], dataset.observations[rows + 1]
    unchanged = ((before == after) | (np.isnan(before) & np.isnan(after))).all(axis=1).mean()
    varied = (np.ptp(np.nan_to_num(before), axis=0) > 0.0).any()
    if unchanged < UNCHANGED or not varied:
        return None
    return Finding(
        "static_observations",
        "warning",
        f"in {100 * unchanged:.1f} % of the decisions the next observation equals the observation",
        "actions seem to change nothing, and every decision is valued as if it were alone",
        "record the observation after the action as next_observation",
    )


def _unknown_ends(dataset: Dataset) -> Finding | None:
    if not dataset.episode_count:
        return None
    lost = ~dataset.end_known & ~complete_episodes(dataset)
    if not lost.any():
        return None
    return Finding(
        "unknown_ends",
        "warning",
        f"{int(lost.sum()):,} of {dataset.episode_count:,} episodes were cut before the horizon without a last "
        "next_observation",
        "their last decision is not trained on and they give no full return",
        "record next_observation with the last decision",
    )


def _cut_episodes(dataset: Dataset) -> Finding | None:
    """Episodes without a return to the horizon, where nobody has said that they were cut by chance."""
    cut = ~complete_episodes(dataset)
    if not cut.any() or dataset.specification.censoring != INFORMATIVE:
        return None
    bounded = dataset.specification.declared_range is not None
    return Finding(
        "cut_episodes",
        "information" if bounded else "warning",
        f"{int(cut.sum()):,} of {dataset.episode_count:,} episodes were cut before the horizon",
        "the gate takes what followed at its worst for a gain"
        + (", within reward_range" if bounded else ", and proves nothing without a declared reward_range"),
        'declare censoring = "random" where they were cut by chance, given what was observed until then',
    )


def _untried_actions(dataset: Dataset) -> Finding | None:
    actions = dataset.specification.actions
    counts = np.bincount(dataset.actions, minlength=len(actions))
    untried = [str(action) for action, count in zip(actions, counts, strict=True) if count == 0]
    if not untried or not len(dataset):
        return None
    shown = ", ".join(untried[:5]) + (", …" if len(untried) > 5 else "")
    return Finding(
        "untried_actions",
        "warning",
        f"{len(untried)} of {len(actions)} declared actions were never taken: {shown}",
        "nothing is known about them, and no policy that takes them can be valued",
        "explore them, or remove them from the declaration",
    )


def _inferred(dataset: Dataset) -> Finding | None:
    specification = dataset.specification
    if not specification.inferred:
        return None
    horizon = f" (horizon {specification.horizon})" if "horizon" in specification.inferred else ""
    return Finding(
        "inferred_declaration",
        "warning",
        f"read off the log and not confirmed: {', '.join(specification.inferred)}{horizon}",
        "bounds that the data gave prove nothing about data to come",
        f"check [agents.{specification.name}] in retrainer.toml and remove what is right from inferred",
    )
