"""Which version of an agent's policy is the champion, how it became so, and how to go back.

The last ledger entry that appoints a champion is the truth. Layout below ``models/retrained/``::

    ledger/{agent}/{n:08d}.json      entries, write-once, hash-chained
    versions/{agent}/{version}.json  artefacts, write-once; there before any entry names them
    {agent}_model.json               a copy of the champion, repaired whenever a registry is opened
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ai_engine.deploy.ledger import Draft, LedgerEntry, LedgerState
from ai_engine.deploy.registry_view import RegistryView
from algorithms.policy import Policy
from envs.errors import ArtefactError, RegistryError


class Registry(RegistryView):
    """The versions and champions of a home. Safe for many processes at once.

    Args:
        home: the home, or its path.
        storage: where it is kept; ``models/retrained/`` of the home by default.
    """

    def initialise(self, policy: Policy) -> str:
        """Make an agent's version 0, its own rule with the floor, the first champion; does nothing where one is.

        Returns:
            The version that is the agent's own rule.
        """
        agent = policy.agent
        state = self._ledger.state(agent)
        if state.entries:
            return state.rule
        # An initialisation that died before its entry may have left another policy under this number.
        version = (
            "0" if self._versions.keep(policy, "0") or self._is_stored(policy, "0") else self._versions.add(policy)
        )
        self._ledger.append(agent, lambda now: None if now.entries else self._appoint(now, agent, "version0", version))
        self._publish(agent)
        return self._state(agent).rule

    def renew_rule(self, policy: Policy, reason: str) -> str:
        """Make a changed own rule (or floor) of the agent its champion, as a new version 0.

        Allowed only while the champion is a bare rule: a promoted policy stands on the rule it was proven with.

        Raises:
            RegistryError: the champion was promoted, or the rule's version is the number of a policy; names the remedy.
        """
        agent = policy.agent
        if policy.record_version in self.versions(agent):
            raise RegistryError(
                f"the rule's version {policy.record_version!r} is the number of a policy, and records name both alike",
                where=f"agent {agent}",
                remedy=f"call it otherwise, such as 'rule-{policy.record_version}'",
            )
        version = self._versions.add(policy, {*self._rule_names(agent), policy.record_version})

        def decide(state: LedgerState) -> Draft:
            if state.champion not in state.rules:
                raise RegistryError(
                    f"the champion {state.champion} stands on the rule it was proven with",
                    where=f"agent {agent}",
                    remedy=f"roll back to {agent}@rule first, then change the rule",
                )
            return self._appoint(state, agent, "version0", version, reason)

        self._move(agent, decide)
        return version

    def add_version(self, policy: Policy) -> str:
        """Keep a policy as the agent's next version; it becomes nobody's champion by that."""
        return self._versions.add(policy, self._rule_names(policy.agent))

    def record_gate(
        self,
        agent: str,
        *,
        decision: str,
        candidate: str,
        champion: str,
        look: int | None,
        alpha: float = 0.0,
        final_sequence: int = 0,
        reason: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> LedgerEntry:
        """Write down a gate's decision and what it spent.

        Args:
            agent: whose gate.
            decision: promote, canary, keep, inconclusive or refused.
            candidate: the version that was judged.
            champion: the version that it was judged against.
            look: number of the look, one more than :meth:`looks` has; ``None`` where no final unit was read.
            alpha: α of this look.
            final_sequence: journal position up to which final units are now used.
            reason: for the reader.
            details: anything else worth keeping.

        Raises:
            RegistryError: the champion changed or another gate took the look meanwhile.
        """

        def decide(state: LedgerState) -> Draft:
            if state.champion != champion:
                raise RegistryError(
                    f"the champion became {state.champion} while {champion} was being judged",
                    where=f"agent {agent}",
                    remedy="run the gate again",
                )
            if look is not None and (look != state.looks + 1 or final_sequence < state.final_sequence):
                raise RegistryError(
                    f"look {look} up to {final_sequence} is not the next after look {state.looks}"
                    f" up to {state.final_sequence}",
                    where=f"agent {agent}",
                    remedy="run the gate again",
                )
            spent = {"look": look, "alpha": alpha, "final_sequence": final_sequence}
            facts = {"decision": decision, "candidate": candidate, "champion": champion, "artefact": judged, **spent}
            return Draft("gate", state.champion, reason, {**(details or {}), **facts})

        judged = self._versions.digest(agent, self.resolve(agent, candidate))
        return self._move(agent, decide)

    def promote(self, agent: str, version: str, *, gate_entry: LedgerEntry | int, reason: str = "") -> LedgerEntry:
        """Make a version champion because a gate passed it.

        Raises:
            ArtefactError: its file is damaged, or not the one that the gate judged.
            RegistryError: no such gate entry, it judged something else or did not pass, the champion changed
                since, the version is barred, or automation is held.
        """
        number = gate_entry if isinstance(gate_entry, int) else gate_entry.number

        def decide(state: LedgerState) -> Draft:
            entry = state.entries[number - 1] if 1 <= number <= len(state.entries) else None
            problem, remedy = "", "run the gate again, or override it"
            if entry is None or entry.kind != "gate":
                problem = f"ledger entry {number} is not a gate"
            elif (entry.details["decision"], entry.details["candidate"]) != ("promote", version):
                problem = f"gate {number} said {entry.details['decision']} of version {entry.details['candidate']}"
            elif version in state.barred:
                problem = f"version {version} was rolled back and is barred"
                remedy = f"only a person can: retrainer promote {agent}@{version} --override --reason TEXT"
            elif state.moved > number:
                problem = f"the champion became {state.champion} after gate {number}"
            elif state.held:
                problem, remedy = "automation is held", f"run retrainer release {agent} --reason TEXT"
            if problem:
                raise RegistryError(f"{version} is not promoted: {problem}", where=f"agent {agent}", remedy=remedy)
            assert entry is not None
            judged = entry.details.get("artefact")
            return self._appoint(state, agent, "promote", version, reason, judged=judged, gate=number)

        return self._move(agent, decide)

    def override(self, agent: str, reference: str, reason: str) -> LedgerEntry:
        """Make a version champion because a person says so; the ledger keeps the reason.

        Raises:
            RegistryError: no such version, or no reason.
            ArtefactError: its file is damaged.
        """
        self._need_reason(agent, reason)
        version = self.resolve(agent, reference)
        return self._move(agent, lambda state: self._appoint(state, agent, "override", version, reason))

    def rollback(self, agent: str, to: str | None = None, reason: str = "") -> LedgerEntry:
        """Go back to the previous champion (or to ``to``), bar the present one and hold automation.

        The agent's own rule is never barred: one can always go back to it.

        Raises:
            RegistryError: there is nothing to go back to, or the target is barred or already champion.
            ArtefactError: the target's file is damaged; the champion stays.
        """
        target = self.resolve(agent, to) if to is not None else None

        def decide(state: LedgerState) -> Draft:
            version = target if target is not None else state.previous()
            problem = ""
            if not version:
                problem = f"there is no champion before {state.champion}"
            elif version == state.champion:
                problem = f"{version} is the champion already"
            elif version not in state.champions:
                problem = f"version {version} never was champion"
            elif version in state.barred:
                problem = f"version {version} was rolled back itself and is barred"
            if problem:
                at_rule = state.champion in state.rules
                remedy = f"see retrainer history {agent}" if at_rule else f"go back to {agent}@rule, or override"
                raise RegistryError(problem, where=f"agent {agent}", remedy=remedy)
            barred = sorted({state.champion} - state.rules)
            try:
                return self._appoint(state, agent, "rollback", version, reason, barred=barred)
            except ArtefactError as error:
                way_out = f"{error.remedy}, or go back to another with --to, such as {agent}@rule"
                raise ArtefactError(error.problem, where=error.where, remedy=way_out) from None

        return self._move(agent, decide)

    def hold(self, agent: str, reason: str) -> LedgerEntry:
        """Stop gates from promoting until :meth:`release`."""
        self._need_reason(agent, reason)
        return self._move(agent, lambda state: Draft("hold", state.champion, reason))

    def release(self, agent: str, reason: str = "") -> LedgerEntry:
        """Let gates promote again; barred versions stay barred."""
        return self._move(agent, lambda state: Draft("release", state.champion, reason))

    def _appoint(
        self,
        state: LedgerState,
        agent: str,
        kind: str,
        version: str,
        reason: str = "",
        judged: str | None = None,
        **details: Any,
    ) -> Draft:
        # Whatever becomes champion is whole, and the file that was judged: no agent could act by another.
        self._versions.load(agent, version, state.artefacts.get(version, judged))
        digest = self._versions.digest(agent, version)
        return Draft(kind, version, reason, {**details, "artefact": digest, "from": state.champion})

    def _move(self, agent: str, decide: Callable[[LedgerState], Draft]) -> LedgerEntry:
        self._state(agent)
        entry = self._ledger.append(agent, decide)
        self._publish(agent)
        assert entry is not None
        return entry

    def _rule_names(self, agent: str) -> set[str]:
        """What records call the agent's own rules: a rule of version "2" is not to be taken for policy 2."""
        names = set()
        for version in self._state(agent).rules:
            with suppress(ArtefactError):  # a damaged one is named by whoever needs it
                names.add(self._versions.load(agent, version, None).record_version)
        return names

    def _is_stored(self, policy: Policy, version: str) -> bool:
        stored = self._versions.load(policy.agent, version, None)
        return stored.to_bytes() == replace(policy, version=version).to_bytes()

    @staticmethod
    def _need_reason(agent: str, reason: str) -> None:
        if not reason.strip():
            raise RegistryError("the ledger needs a reason", where=f"agent {agent}", remedy="give one")
