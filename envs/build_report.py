"""What became of an agent's records: how many are in the dataset, and why the others are not."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What became of an agent's records.

    Attributes:
        records: records read.
        decisions: decisions in the dataset.
        episodes: episodes in the dataset, those under embargo included.
        shadow: shadow records, never learned from.
        open_episodes: episodes that have not ended yet.
        open_decisions: their decisions.
        abandoned_episodes: episodes in the dataset that stopped without an end, long ago; they count as truncated.
        late_episodes: episodes with a decision without reward whose outcome came too late.
        unscored_episodes: other episodes with a decision without reward (or without its worst class).
        unscored_reason: the first such decision and what it lacks, or empty.
        duplicated_episodes: episodes with two records for one step.
        broken_episodes: closed episodes that lack a step or go on after their end.
        broken_reason: the first such episode and what is wrong with it, or empty.
        embargoed_episodes: episodes in the dataset that belong to no split.
        unknown_ends: episodes in the dataset that did not terminate and whose last observation is not known.
        conflicting_observations: decisions whose ``next_observation`` is not the next step's observation.
        recorded_rewards: decisions without outcome, whose reward is as recorded and not the expression's.
        overridden: decisions whose executed action was another than the requested one.
        known_roots: rows (decisions and ends) at which the bare rule's probabilities are known.
        unmeasured: decisions whose outcome does not tell a declared guardrail.
        unmeasured_reason: the first of them and what it lacks, or empty.
        immature_episodes: closed episodes with a decision whose maturation window is still open.
        matures: when the first of them is mature, in seconds since the epoch; 0 where there are none.
        mistimed: decisions whose timestamp is before 1970 or more than a day in the future, excluded ones not counted.
        mistimed_first: the first of them with its position and its time, or empty.
        excluded_episodes: episodes with a decision in an excluded range of the log.
        clocked_episodes: episodes in the dataset that ended because they had reached the horizon; they count as cut.
        blindly_clocked_episodes: the same where what came after the end is not known; they count as terminated.
        other_versions: records of an earlier version of the declaration, under which fields meant other things.
        late_outcomes: outcomes that became known after their decision's maturation window had closed.
        contradictory_outcomes: values of outcomes that were recorded before with another value.
        orphaned_outcomes: outcomes of decisions that are not in the log.
    """

    records: int
    decisions: int
    episodes: int
    shadow: int = 0
    open_episodes: int = 0
    open_decisions: int = 0
    abandoned_episodes: int = 0
    late_episodes: int = 0
    unscored_episodes: int = 0
    unscored_reason: str = ""
    duplicated_episodes: int = 0
    broken_episodes: int = 0
    broken_reason: str = ""
    embargoed_episodes: int = 0
    unknown_ends: int = 0
    conflicting_observations: int = 0
    recorded_rewards: int = 0
    overridden: int = 0
    known_roots: int = 0
    unmeasured: int = 0
    unmeasured_reason: str = ""
    immature_episodes: int = 0
    matures: float = 0.0
    mistimed: int = 0
    mistimed_first: str = ""
    excluded_episodes: int = 0
    clocked_episodes: int = 0
    blindly_clocked_episodes: int = 0
    other_versions: int = 0
    late_outcomes: int = 0
    contradictory_outcomes: int = 0
    orphaned_outcomes: int = 0

    def to_json(self) -> dict[str, int | float | str]:
        """Plain JSON."""
        return asdict(self)
