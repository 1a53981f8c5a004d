"""The episodes that an agent is in: the next step of each, and what was before where the declaration wants it."""

from __future__ import annotations

import threading
from contextlib import suppress

from envs.encoding.stacking import RunningHistory
from envs.errors import RecordError
from envs.forking import reset_after_fork
from envs.home import Home
from envs.journal.journal import Journal
from envs.journal.reading import last_decisions
from envs.record import DecisionRecord
from envs.specification import AgentSpecification


class RunningEpisode:
    """One episode.

    Attributes:
        step: of its next decision.
        history: what was before, ``None`` where the declaration wants none.
    """

    __slots__ = ("history", "step")

    def __init__(self, step: int, history: RunningHistory | None) -> None:
        self.step = step
        self.history = history


class RunningEpisodes:
    """Episodes by tenant and name. One that is not known goes on where the log says that it was.

    So an agent that was restarted within an episode numbers on. An episode that ended in the log has no more decisions:
    none of them could be recorded. Only a seeded agent begins it anew, because a run that is repeated writes the same
    records.

    Args:
        home: the home.
        agent: the agent's name.
        repeatable: whether it is seeded.
    """

    def __init__(self, home: Home, agent: str, *, repeatable: bool) -> None:
        self._repeatable = repeatable
        self._journal = Journal(home.journal_path)
        self._agent = agent
        self._episodes: dict[tuple[str, str], RunningEpisode] = {}
        self._reset()
        reset_after_fork(self, RunningEpisodes._reset)

    def _reset(self) -> None:
        """Take a new lock; the episodes stay."""
        self._lock = threading.Lock()

    def get(self, tenant: str, episode_id: str, specification: AgentSpecification, step: int | None) -> RunningEpisode:
        """The episode; looked up in the log where it is not known.

        Args:
            tenant: whose.
            episode_id: its name.
            specification: the agent's declaration.
            step: of the decision to come, where that is known.

        Raises:
            RecordError: it has ended.
            JournalError, DataError, MissingExtraError: the log cannot be read.
        """
        known = self._episodes.get((tenant, episode_id))
        # Where others decide in it too, what was before is not what this process remembers.
        behind = known is not None and known.history is not None and step is not None and step != known.step
        if known is not None and not behind:
            return known
        # Not under the lock: other episodes need not wait for the disk.
        found = self._looked_up(tenant, episode_id, specification, step)
        with self._lock:
            if self._episodes.get((tenant, episode_id)) is known:
                self._episodes[tenant, episode_id] = found
            return self._episodes.setdefault((tenant, episode_id), found)

    def take(self, episode: RunningEpisode, step: int | None) -> int:
        """The step of a decision, the next one where it is not given; the one after it comes next."""
        with self._lock:
            taken = episode.step if step is None else step
            episode.step = taken + 1
            return taken

    def end(self, tenant: str, episode_id: str) -> None:
        """Forget an episode."""
        with self._lock:
            self._episodes.pop((tenant, episode_id), None)

    def close(self) -> None:
        """Close the log; the next use opens it again."""
        self._journal.close()

    def _looked_up(
        self, tenant: str, episode_id: str, specification: AgentSpecification, step: int | None
    ) -> RunningEpisode:
        observation = specification.observation
        history = RunningHistory(observation) if observation.history else None
        if step == 0 or (step is not None and history is None):
            return RunningEpisode(step, history)
        records = last_decisions(self._journal, self._agent, tenant, episode_id, observation.history + 1)
        ended = bool(records) and (records[-1].terminated or records[-1].truncated)
        if ended and not self._repeatable:
            raise RecordError(
                f"{episode_id!r} ended at step {records[-1].step}",
                field="episode_id",
                where=f"agent {self._agent}",
                remedy="give what comes after its end an episode_id of its own",
            )
        if ended or not records:
            return RunningEpisode(0, history)
        if history is not None:
            positions = {action: position for position, action in enumerate(specification.actions)}
            with suppress(RecordError, KeyError):  # of an earlier declaration: what was before stays unknown
                before = _directly_before(records[-1].step + 1 if step is None else step, records)
                rows = [(observation.row(record.observation), positions[record.action]) for record in before]
                for row, position in rows:
                    history.add(row, position)
        return RunningEpisode(records[-1].step + 1, history)


def _directly_before(step: int, records: list[DecisionRecord]) -> list[DecisionRecord]:
    """Those of the steps before a step without a gap; what lies behind one is not on the disk yet, and unknown."""
    by_step = {record.step: record for record in records}
    first = step
    while first - 1 in by_step:
        first -= 1
    return [by_step[number] for number in range(first, step)]
