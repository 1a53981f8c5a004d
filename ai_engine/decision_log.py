"""``ai_engine.log``: an agent's log to look at and to take away, the journal and the table as one."""

from __future__ import annotations

import html
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envs.counting import counted
from envs.errors import SpecificationError
from envs.home import Home
from envs.journal.journal import Journal
from envs.journal.reading import LogReader
from envs.log.exclusions import Exclusion, list_exclusions
from envs.log.place import declared_table, resolved
from envs.record import DecisionRecord

if TYPE_CHECKING:  # an agent in production needs neither
    import pandas
    import pyarrow

SHOWN = 5


class AgentLog:
    """An agent's decisions in the order in which they were recorded, completed by their outcomes.

    Args:
        name: the agent.
        home: the home.

    Raises:
        SpecificationError: there is neither a declaration nor a decision of the agent.
    """

    def __init__(self, name: str, home: Home) -> None:
        self.name = name
        self.home = home
        self._journal = Journal(home.journal_path)
        declared = name in home.agents()
        if not declared and not self._journal.counts().get(name):
            known = ", ".join(self._journal.counts()) or "none"
            raise SpecificationError("has no log", where=f"agent {name}", remedy=f"agents with decisions: {known}")
        self._maturation = home.specification(name).maturation if declared else 0.0

    def __len__(self) -> int:
        return self._journal.counts().get(self.name, 0)

    def __iter__(self) -> Iterator[DecisionRecord]:
        return (record for _, record in self._reader())

    @property
    def sealed(self) -> int:
        """Number of decisions in the table; the others are in the journal."""
        return self._journal.sealed().decisions.get(self.name, 0)

    @property
    def table(self) -> str:
        """Where the table is, or will be once something is sealed."""
        place = self._journal.sealed().table or declared_table(self.home)
        return resolved(self.home.journal_path, place)

    @property
    def exclusions(self) -> list[Exclusion]:
        """Ranges that no dataset uses."""
        return list_exclusions(self._journal, self.name)

    def to_arrow(self) -> pyarrow.Table:
        """One row a decision, one typed column a field; see :func:`envs.log.frame.to_arrow`.

        Raises:
            MissingExtraError: pyarrow is not installed.
        """
        from envs.log.frame import to_arrow

        return to_arrow(self._reader().joined(), self.exclusions)

    def to_pandas(self) -> pandas.DataFrame:
        """:meth:`to_arrow` as a pandas data frame; see :func:`envs.log.frame.to_pandas`."""
        from envs.log.frame import to_pandas

        return to_pandas(self.to_arrow())

    def __repr__(self) -> str:
        count, sealed = len(self), self.sealed
        where = f", {sealed:,} of them sealed in {self.table}" if sealed else ""
        without = f", {counted(len(self.exclusions), 'range')} excluded" if self.exclusions else ""
        return f"<log of {self.name}: {counted(count, 'decision')}{where}{without}>"

    def _repr_html_(self) -> str:
        """The first decisions as a table, for notebooks."""
        names = (
            "timestamp",
            "tenant",
            "episode_id",
            "step",
            "observation",
            "action",
            "propensity",
            "reward",
            "outcome",
        )
        head = "".join(f"<th>{name}</th>" for name in names)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(_cell(getattr(record, name)))}</td>' for name in names)}</tr>"
            for record in islice(self, SHOWN)
        )
        more = f"<p>and {len(self) - SHOWN:,} more</p>" if len(self) > SHOWN else ""
        title = f"<p>{html.escape(repr(self)[1:-1])}</p>"
        return f"{title}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"

    def _reader(self) -> LogReader:
        return LogReader(self._journal, self.name, maturation=self._maturation)


def log(name: str, *, home: Home | str | Path | None = None) -> AgentLog:
    """An agent's log: iterate over its records, or take it away with ``to_arrow()`` or ``to_pandas()``.

    Raises:
        HomeError: no home.
        SpecificationError: there is neither a declaration nor a decision of the agent.
    """
    return AgentLog(name, Home.find(home))


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
