"""What has been recorded so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from envs.errors import SpecificationError
from envs.home import Home
from envs.infer import infer_specification
from envs.journal.journal import Journal
from envs.journal.reading import LogReader
from envs.log.exclusions import in_ranges, list_exclusions
from envs.record import DecisionRecord
from envs.specification import AgentSpecification


class DataCollector:
    """Counts and reads the decisions of a home.

    Args:
        home: the home; without one the home in force, and the current folder's is created where there is none.

    Raises:
        HomeError: the home named is none.
    """

    def __init__(self, home: Home | str | Path | None = None) -> None:
        self.home = Home.find(home, create=home is None)
        self._journal = Journal(self.home.journal_path)

    def agents(self) -> list[str]:
        """Names of the agents that have records, sorted."""
        return sorted(self._journal.counts())

    def count(self, agent: str) -> int:
        """Number of the agent's records; 0 where there are none."""
        return self._journal.counts().get(agent, 0)

    def records(self, agent: str, *, after: int = 0) -> Iterator[DecisionRecord]:
        """The agent's records in the order of the journal, from above the sequence number ``after``."""
        return (record for _, record in self._journal.read(agent, after=after))

    def specification(self, agent: str) -> AgentSpecification:
        """The agent's declaration; of an undeclared one a draft is inferred from its records and written down.

        Raises:
            SpecificationError: the agent is not declared and has no records, or they are of different kinds.
        """
        if agent not in self.home.agents() and self.count(agent):
            self.home.declare(self.draft(agent))
        return self.home.specification(agent)

    def draft(self, agent: str) -> AgentSpecification:
        """A declaration read off the agent's records, without those that were excluded.

        Raises:
            SpecificationError: it has none, or they are of different kinds.
        """
        decisions = LogReader(self._journal, agent).joined()
        inside = in_ranges(decisions, list_exclusions(self._journal, agent))
        return infer_specification(agent, (joined.record for joined, left_out in inside if not any(left_out)))

    def complete_draft(self, agent: str) -> AgentSpecification:
        """The declaration with the categories of its fields read off the log, written down."""
        declared = self.specification(agent)
        try:
            found = self.draft(agent).observation.fields
        except SpecificationError:  # what does not fit the draft is said where it is used
            return declared
        seen = {field.name: field for field in found if field.type == "category"}
        fields = tuple(
            replace(field, categories=seen[field.name].categories)
            if field.type == "category" and field.name in seen
            else field
            for field in declared.observation.fields
        )
        completed = replace(declared, observation=replace(declared.observation, fields=fields))
        if completed != declared:
            self.home.declare(completed)
        return completed

    def close(self) -> None:
        """Close the journal; the next use opens it again."""
        self._journal.close()

    def __enter__(self) -> DataCollector:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
