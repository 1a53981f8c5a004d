"""What the building of a dataset reports: what it left out, and records that contradict each other."""

from __future__ import annotations

from envs.build_report import BuildReport
from envs.card.findings import Finding
from envs.clock import written
from envs.counting import counted

LARGEST_DOUBT = 0.01
"""Contradictory outcomes a decision beyond which no return is known."""


def reported(report: BuildReport, decisions: int) -> list[Finding | None]:
    """A finding for each, ``None`` for what is not so.

    Args:
        report: of the building.
        decisions: of the dataset.
    """
    return [*_left_out(report), *_doubtful(report, decisions), _mixed_rewards(report, decisions)]


def _left_out(report: BuildReport) -> list[Finding | None]:
    tardy = counted(report.late_episodes, "episode lacks a reward for it", "episodes lack a reward for it")
    lacking = f"; {tardy}" if report.late_episodes else ""
    return [
        _counted(
            report.open_episodes,
            "open_episodes",
            "information",
            f"episode ({counted(report.open_decisions, 'decision')}) has not ended yet",
            f"episodes ({counted(report.open_decisions, 'decision')}) have not ended yet",
            "they are in no dataset until they do, or are silent for abandoned_after",
            "record terminated or truncated with the last decision",
        ),
        _counted(
            report.immature_episodes,
            "immature_episodes",
            "information",
            f"episode waits for outcomes: its maturation window is open until {written(report.matures)}",
            f"episodes wait for outcomes: a maturation window is open, the first until {written(report.matures)}",
            "they are in no dataset until it closes",
            "inspect again then, or declare a shorter maturation where outcomes come sooner",
        ),
        _counted(
            report.late_outcomes,
            "late_outcomes",
            "warning",
            f"outcome came after its decision's maturation window had closed{lacking}",
            f"outcomes came after their decision's maturation window had closed{lacking}",
            "neither is used: decisions whose outcomes take longer would look different from what they are",
            "declare a longer maturation where outcomes take that long",
        ),
        _counted(
            report.orphaned_outcomes,
            "orphaned_outcomes",
            "warning",
            "outcome is of a decision that is not in the log",
            "outcomes are of decisions that are not in the log",
            "they are used once their decision is recorded; if decisions are lost, the log is not what happened",
            "record the decisions too, and give each outcome its decision's event_id",
        ),
        _counted(
            report.abandoned_episodes,
            "abandoned_episodes",
            "warning",
            "episode has stopped without an end, longer ago than abandoned_after, or than any whole episode took",
            "episodes have stopped without an end, longer ago than abandoned_after, or than any whole episode took",
            "they count as cut: left out, they would choose what is learned from",
            "record terminated or truncated with the last decision, or declare abandoned_after",
        ),
        _counted(
            report.duplicated_episodes,
            "duplicated_steps",
            "warning",
            "episode has two records for one step",
            "episodes have two records for one step",
            "they are left out: which of the two happened cannot be told",
            "give each run its own episode_id",
        ),
        _counted(
            report.broken_episodes,
            "broken_episodes",
            "warning",
            f"episode lacks a step or goes on after its end ({report.broken_reason})",
            f"episodes lack a step or go on after their end ({report.broken_reason})",
            "they are left out; if records are lost when things go badly, every value is too high",
            "record every step, and give each run its own episode_id",
        ),
        _counted(
            report.unscored_episodes,
            "unscored_episodes",
            "warning",
            f"episode lacks a reward ({report.unscored_reason})",
            f"episodes lack a reward ({report.unscored_reason})",
            "they are left out; if rewards are lost when things go badly, every value is too high",
            "record the outcome of every decision",
        ),
        _counted(
            report.embargoed_episodes,
            "embargoed_episodes",
            "information",
            "episode touches a day's edge",
            "episodes touch a day's edge",
            "they belong to no split",
            "nothing need be done",
        ),
        _counted(
            report.excluded_episodes,
            "excluded_episodes",
            "information",
            "episode has a decision in an excluded range",
            "episodes have a decision in an excluded range",
            "they are in no dataset",
            "a wrong range is used again by retrainer log exclude … --undo",
        ),
        _counted(
            report.other_versions,
            "other_versions",
            "information",
            "record is of an earlier version of the declaration",
            "records are of an earlier version of the declaration",
            "they are left out: fields meant other things then",
            "nothing need be done",
        ),
        _counted(
            report.shadow,
            "shadow_decisions",
            "information",
            "decision was taken in shadow mode",
            "decisions were taken in shadow mode",
            "they are never learned from",
            "nothing need be done",
        ),
    ]


def _doubtful(report: BuildReport, decisions: int) -> list[Finding | None]:
    return [
        _counted(
            report.mistimed,
            "mistimed_decisions",
            "warning",
            f"decision is dated before 1970 or in the future ({report.mistimed_first})",
            f"decisions are dated before 1970 or in the future (first {report.mistimed_first})",
            "order, days and the parts of the log are those of the wrong dates; the rate and what has stopped long ago"
            " are reckoned without them",
            "set the clock right, and exclude such decisions by position (retrainer log exclude)",
        ),
        _counted(
            report.conflicting_observations,
            "conflicting_observations",
            "warning",
            "decision names another next observation than the next step saw",
            "decisions name another next observation than the next step saw",
            "the next step's observation is used",
            "record next_observation at the end of an episode only, or find out which of the two is true",
        ),
        _counted(
            report.contradictory_outcomes,
            "contradictory_outcomes",
            "error" if report.contradictory_outcomes > LARGEST_DOUBT * decisions else "warning",
            "value of an outcome contradicts what was recorded before",
            "values of outcomes contradict what was recorded before",
            "the earlier value is used; which of the two is true cannot be told",
            "record each outcome once, when it is final, and exclude what is wrong (retrainer log exclude)",
        ),
        _counted(
            report.clocked_episodes,
            "clocked_ends",
            "information",
            "episode ends at the horizon",
            "episodes end where they reach the horizon, and none that reaches it goes on",
            "they are read as cut there (truncated) and not as ended by what was done",
            "nothing need be done",
        ),
        _counted(
            report.blindly_clocked_episodes,
            "blindly_clocked_ends",
            "warning",
            "episode ends at the horizon",
            "episodes end where they reach the horizon, none that reaches it goes on, and what came after is not known",
            "models know the state and not the step, and learn that any decision may be the last: they are off",
            "record next_observation with the last decision, and it is read as a cut by the clock",
        ),
        _counted(
            report.overridden,
            "overridden_decisions",
            "information",
            "decision was executed otherwise than requested",
            "decisions were executed otherwise than requested",
            "the request is evaluated and the override counts as part of the environment",
            "nothing need be done",
        ),
    ]


def _mixed_rewards(report: BuildReport, decisions: int) -> Finding | None:
    """Two versions of the reward in one log: no return of it means anything."""
    if not 0 < report.recorded_rewards < decisions:
        return None
    return Finding(
        "mixed_rewards",
        "error",
        f"{counted(report.recorded_rewards, 'decision has', 'decisions have')} a recorded reward but no outcome for "
        "the declared expression, by which the others are scored",
        "two versions of the reward would be pooled: nothing can be learned",
        "record outcomes, exclude those decisions (retrainer log exclude), or remove the expression",
    )


def _counted(
    count: int, code: str, severity: str, one: str, several: str, consequence: str, remedy: str
) -> Finding | None:
    return Finding(code, severity, counted(count, one, several), consequence, remedy) if count else None
