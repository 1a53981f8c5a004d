"""``status``: every agent of a home at a glance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ai_engine.deploy.registry import Registry
from ai_engine.text import table
from ai_engine.tracking.problems import behind
from envs.counting import counted
from envs.encoding.unknown import count_unknown
from envs.errors import RegistryError, RetrainerError, SpecificationError
from envs.home import Home
from envs.journal.journal import Journal
from envs.specification import AgentSpecification
from tune_configs.gate.lifetime import LIFETIME_ALPHA

NEWEST = 5000
"""Positions of the log in which ``status`` looks for values that the declaration does not know."""
WIDTH = 100
LEAST = 24
"""Columns of a line of ``status``, and what is left of them at least for the last ledger entry."""


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """One agent.

    Attributes:
        agent: its name.
        decisions: records in the journal.
        champion: present champion, empty before the first.
        versions: number of versions.
        looks: gates that have read final units.
        alpha_left: what is left of the lifetime α of .05.
        held: whether automation is held.
        last: the last ledger entry's kind and reason.
        unknown: how many of the newest decisions have a value that the declaration does not know, by field.
        newest: how many decisions that looks at.
        refused: why its declaration or its ledger cannot be used, empty where both can or there is none.
    """

    agent: str
    decisions: int
    champion: str = ""
    versions: int = 0
    looks: int = 0
    alpha_left: float = LIFETIME_ALPHA
    held: bool = False
    last: str = ""
    unknown: Mapping[str, int] = field(default_factory=dict)
    newest: int = 0
    refused: str = ""


@dataclass(frozen=True, slots=True)
class StatusResult:
    """All agents of a home, and why a tracker does not know everything of one."""

    home: Path
    agents: tuple[AgentStatus, ...]
    behind: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """One document."""
        agents = [asdict(agent) for agent in self.agents]
        return {"schema_version": 1, "home": str(self.home), "agents": agents, "behind": dict(self.behind)}

    def to_text(self) -> str:
        """A table and one sentence. ``history`` has what a ledger entry says in full."""
        rows = [
            (
                item.agent,
                f"{item.decisions:,}",
                item.champion or "–",
                str(item.versions),
                str(item.looks),
                f"{item.alpha_left:.4f}",
                "held" if item.held else "",
                "",
            )
            for item in self.agents
        ]
        header = ("agent", "decisions", "champion", "versions", "looks", "α left", "", "last")
        room = max(WIDTH - max(len(line) + 2 for line in table(header, rows).splitlines()), LEAST) if rows else 0
        rows = [(*row[:-1], _cut(item.last, room)) for row, item in zip(rows, self.agents, strict=True)]
        sentence = f"{counted(len(rows), 'agent')} in {self.home}."
        late = "".join(f"Not tracked is {what} ({why.rstrip('.')}).\n" for what, why in self.behind.items())
        strange = "".join(
            f"{item.agent}: {count:,} of its newest {item.newest:,} decisions have an undeclared {name}.\n"
            for item in self.agents
            for name, count in item.unknown.items()
        )
        refused = "".join(f"{item.agent}: {item.refused}.\n" for item in self.agents if item.refused)
        return f"{table(header, rows)}\n{refused}{strange}{late}{sentence}" if rows else f"No agent yet in {self.home}."


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def status(home: Home | str | Path | None = None) -> StatusResult:
    """What every agent of a home has logged, and who its champion is."""
    found = Home.find(home)
    registry, counts = Registry(found), Journal(found.journal_path).counts()
    ledgers = set(registry.agents())
    agents = []
    for name in dict.fromkeys([*found.agents(), *counts]):
        specification, refused = _declaration(found, name)
        unknown, newest = _unknown_values(found, specification) if specification else ({}, 0)
        bare = AgentStatus(name, counts.get(name, 0), unknown=unknown, newest=newest, refused=refused)
        agents.append(_with_ledger(bare, registry) if name in ledgers else bare)
    return StatusResult(found.path, tuple(agents), behind(found))


def _with_ledger(bare: AgentStatus, registry: Registry) -> AgentStatus:
    """What the ledger says of an agent; that it is damaged must not hide the others."""
    name = bare.agent
    try:
        looks, last = registry.looks(name), registry.history(name)[-1]
        return replace(
            bare,
            champion=f"{name}@{registry.champion(name)}",
            versions=len(registry.versions(name)),
            looks=looks.count,
            alpha_left=LIFETIME_ALPHA - looks.alpha,
            held=registry.held(name),
            last=f"{last.kind} {last.said}".strip(),
        )
    except RegistryError as error:
        return replace(bare, alpha_left=0.0, refused="; ".join(filter(None, (bare.refused, str(error)))))


def _declaration(home: Home, name: str) -> tuple[AgentSpecification | None, str]:
    """An agent's declaration where it has one, or why that is refused."""
    if name not in home.agents():
        return None, ""
    try:
        return home.specification(name), ""
    except SpecificationError as error:
        return None, f"the declaration is refused: {error.problem}; {error.remedy}"


def _unknown_values(home: Home, specification: AgentSpecification) -> tuple[dict[str, int], int]:
    """Undeclared values by field among the newest decisions, and how many those are."""
    name, journal = specification.name, Journal(home.journal_path)
    try:
        seen = [
            record.observation for _, record in journal.read(name, after=max(journal.last_sequence(name) - NEWEST, 0))
        ]
    except RetrainerError:  # not readable: other commands say what is wrong
        return {}, 0
    return count_unknown(specification.observation, seen), len(seen)
