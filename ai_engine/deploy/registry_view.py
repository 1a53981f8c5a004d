"""Reading a registry: champions, versions, history, and whether everything is whole."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ai_engine.deploy.ledger import Ledger, LedgerEntry, LedgerState
from ai_engine.deploy.versions import Versions
from algorithms.policy import Policy
from algorithms.policy.rule import Rule
from envs.errors import RegistryError
from envs.home import Home
from envs.storage import LocalStorage, Storage


@dataclass(frozen=True, slots=True)
class Looks:
    """What an agent's gates have spent.

    Attributes:
        count: looks at final units.
        alpha: the sum of their α.
        final_sequence: journal position up to which final units are used; the next gate reads newer ones only.
    """

    count: int
    alpha: float
    final_sequence: int


class RegistryView:
    """The reading half of :class:`~ai_engine.deploy.registry.Registry`."""

    def __init__(self, home: Home | str | Path | None = None, *, storage: Storage | None = None) -> None:
        if storage is None:
            found = home if isinstance(home, Home) else Home.find(home)
            storage = LocalStorage(found.models_path)
        self._versions = Versions(storage)
        self._ledger = Ledger(storage)
        for agent in self._ledger.agents():
            # A damaged ledger keeps no other agent from its work, and a copy that cannot be written no reader:
            # whatever reads its own agent says so.
            with suppress(RegistryError, OSError):
                self._publish(agent)

    def agents(self) -> list[str]:
        """Agents that have a champion."""
        return self._ledger.agents()

    def champion(self, agent: str) -> str:
        """The present champion's version.

        Raises:
            RegistryError: the agent has no ledger; names those that have.
        """
        return self._state(agent).champion

    def versions(self, agent: str) -> list[str]:
        """All versions, oldest first."""
        return self._versions.names(agent)

    def resolve(self, agent: str, reference: str = "champion") -> str:
        """The version that ``champion``, ``previous``, ``rule`` or a number names.

        Raises:
            RegistryError: it names nothing.
        """
        state = self._state(agent)
        version = {"champion": state.champion, "rule": state.rule, "previous": state.previous()}.get(
            reference, reference
        )
        if not version:
            raise RegistryError(
                "has no previous champion", where=f"agent {agent}", remedy=f"see the history of {agent}"
            )
        known = self.versions(agent)
        if version not in known and version not in state.artefacts:  # one that was champion and is lost is named so
            raise RegistryError(
                f"{reference!r} names no version",
                where=f"agent {agent}",
                remedy=f"give champion, previous, rule or one of {', '.join(known[-8:])}",
            )
        return version

    def version(self, agent: str, reference: str = "champion", *, base: Rule | None = None) -> Policy:
        """The policy of a version, bound to ``base`` where given.

        Raises:
            RegistryError: it names nothing.
            ArtefactError: its file is corrupt, or not what the ledger appointed.
        """
        version = self.resolve(agent, reference)
        return self._versions.load(agent, version, self._state(agent).artefacts.get(version)).bind(base)

    def path(self, agent: str, reference: str = "champion") -> Path:
        """The file of a version, where the registry is a folder."""
        return self._versions.path(agent, self.resolve(agent, reference))

    def held(self, agent: str) -> bool:
        """Whether automation is held."""
        return self._state(agent).held

    def barred(self, agent: str) -> frozenset[str]:
        """Versions that no gate may promote."""
        return frozenset(self._state(agent).barred)

    def rules(self, agent: str) -> frozenset[str]:
        """Versions that are the agent's own rule with its floor."""
        return frozenset(self._state(agent).rules)

    def looks(self, agent: str) -> Looks:
        """What the agent's gates have spent; nothing where there is no ledger yet."""
        state = self._ledger.state(agent)
        return Looks(state.looks, state.alpha, state.final_sequence)

    def history(self, agent: str) -> list[LedgerEntry]:
        """All ledger entries, oldest first."""
        return list(self._state(agent).entries)

    def verify(self, agent: str) -> int:
        """Read everything again: chain, artefacts, and that they are what the ledger appointed.

        Returns:
            Number of ledger entries.

        Raises:
            RegistryError, ArtefactError: the first thing that is wrong; names the file.
        """
        entries = self._ledger.state(agent, verify=True).entries
        artefacts = self._state(agent).artefacts
        for version in dict.fromkeys([*artefacts, *self.versions(agent)]):
            self._versions.load(agent, version, artefacts.get(version))
        return len(entries)

    def _state(self, agent: str) -> LedgerState:
        state = self._ledger.state(agent)
        if not state.entries:
            known = ", ".join(self.agents()) or "none"
            raise RegistryError(
                f"{agent!r} has no champion yet (known: {known})",
                remedy=f"let its Agent decide once, or import its log and run retrainer tune {agent}",
            )
        return state

    def _publish(self, agent: str) -> None:
        """Bring the copy up to date; once more if the champion changed meanwhile."""
        published = ""
        while published != (champion := self._ledger.state(agent).champion):
            self._versions.publish(agent, champion, self._ledger.state(agent).artefacts[champion])
            published = champion
