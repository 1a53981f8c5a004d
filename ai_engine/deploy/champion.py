"""The champion as one process holds it: read from the registry, bound to the user's rule, kept up to date."""

from __future__ import annotations

from ai_engine.deploy.registry import Registry
from algorithms.policy import BaseReference, Policy, Provenance
from algorithms.policy.rule import Rule
from envs.declaration import specification_hash
from envs.errors import ArtefactError, SpecificationError
from envs.home import Home
from envs.specification import AgentSpecification


class ChampionHolder:
    """The policy that an agent decides by.

    With no ledger yet, the agent's rule with its floor becomes version 0. While the champion is a bare
    rule, the agent decides by the rule it was given; if rule version or floor changed, the ledger gets a
    new version 0. A promoted champion is taken exactly as it was proven.

    Args:
        home: the home.
        specification: the agent's declaration.
        rule: the user's rule, if there is one.

    Raises:
        SpecificationError: neither a rule nor a champion.
        ArtefactError: the champion stands on another rule, or was made for another declaration.
    """

    def __init__(self, home: Home, specification: AgentSpecification, rule: Rule | None) -> None:
        self._specification = specification
        self._rule = rule
        self._where = f"agent {specification.name}"
        self.registry = Registry(home)
        self.version = ""
        if specification.name not in self.registry.agents():
            if rule is None:
                raise SpecificationError(
                    "has neither a rule nor a champion",
                    where=self._where,
                    remedy='give Agent(..., policy=your_rule), or declare rule = "module:function"',
                )
            self.registry.initialise(bare_rule(self._specification))
        self.refresh(renew=True)

    def refresh(self, *, renew: bool = False) -> str:
        """Take the ledger's present champion; returns its version. ``renew`` also enters a changed rule.

        Raises:
            RegistryError, ArtefactError: it cannot be used; the present policy stays.
        """
        name = self._specification.name
        version = self.registry.champion(name)
        if version == self.version:
            return version
        policy = self.registry.version(name, version)
        if self._rule is not None and version in self.registry.rules(name):
            mine = bare_rule(self._specification)
            if renew and (policy.base, policy.explore) != (mine.base, mine.explore):
                reason = f"the rule is {self._specification.rule_version!r}, exploration {mine.explore:g}"
                version = self.registry.renew_rule(mine, reason)
            policy = Policy(name, version, mine.observation, mine.actions, mine.explore, mine.base)
        self._check(policy)
        self.policy, self.version = policy.bind(self._rule), version
        return version

    def _check(self, policy: Policy) -> None:
        """The champion must read what the declaration declares, and stand on the rule at hand."""
        declared = self._specification
        shape = [(field.name, field.type, field.categories) for field in policy.observation.fields]
        if policy.actions != declared.actions:
            self._refuse(policy, f"has the actions {policy.actions}", f"declared are {declared.actions}")
        if (policy.observation.kind, shape) != (
            declared.observation.kind,
            [(field.name, field.type, field.categories) for field in declared.observation.fields],
        ):
            self._refuse(policy, "reads another observation than is declared", "train again on the new declaration")
        if policy.base is None:
            return
        if self._rule is None:
            self._refuse(policy, f"stands on the rule {policy.base.version!r}", "give it: Agent(..., policy=your_rule)")
        if policy.base.version != declared.rule_version:
            self._refuse(
                policy,
                f"stands on the rule {policy.base.version!r}, the agent has {declared.rule_version!r}",
                f"keep {policy.base.version!r} (its code and its version), or roll back to {declared.name}@rule",
            )

    def _refuse(self, policy: Policy, problem: str, remedy: str) -> None:
        raise ArtefactError(f"champion {policy.version} {problem}", where=self._where, remedy=remedy)


def bare_rule(specification: AgentSpecification) -> Policy:
    """The agent's own rule with its exploration floor: what version 0 is."""
    return Policy(
        agent=specification.name,
        version="0",
        observation=specification.observation,
        actions=specification.actions,
        explore=specification.explore,
        base=BaseReference(specification.rule_version),
        provenance=Provenance(
            specification_hash=specification_hash(specification),
            reward=specification.reward,
            algorithm="rule",
            note="the agent's own rule with its exploration floor",
        ),
    )
