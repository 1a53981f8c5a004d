"""What is compared: versions, artefact files, and callables that no registry knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ai_engine.deploy.references import parse_reference, resolve_reference
from ai_engine.evaluating import aligned
from ai_engine.served import Reference, is_function, served
from ai_engine.taught import learned_from_select
from ai_engine.workspace import Workspace
from algorithms.policy import Policy, load_policy
from envs.errors import DataError
from envs.home import Home


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One of the compared.

    Attributes:
        reference: what the reader calls it.
        policy: floor included.
        registered: its version as ``agent@N`` where it was named by the registry, else empty.
        learned_from_select: whether ``select`` taught it, so that no row of it can judge.
    """

    reference: str
    policy: Policy
    registered: str = ""
    learned_from_select: bool = False


def agent_of(references: Sequence[Reference], on: str | None, home: Home) -> str:
    """The agent whose log is the evidence: the one that is named, else the one that the references name.

    Raises:
        DataError: several agents, or none.
        SpecificationError: of several agents one is not declared.
    """
    parsed = [parse_reference(str(text)) for text in references if not is_function(text)]
    agents = {reference.agent for reference in parsed if reference.path is None} | ({on} if on else set())
    if not agents:
        agents = {load_policy(reference.path, base=_not_asked).agent for reference in parsed if reference.path}
    if not agents:
        raise DataError("no reference names an agent", where="compare", remedy="say whose log with --on NAME")
    if len(agents) > 1:
        for name in sorted(agents - set(home.agents())):
            home.specification(name)  # raises: that it is not there explains more than that there are two
        raise DataError(
            f"references to {len(agents)} agents, {', '.join(sorted(agents))}",
            where="compare",
            remedy="compare versions of one agent by name",
        )
    return agents.pop()


def candidate(workspace: Workspace, reference: Reference) -> Candidate:
    """The policy that a reference means, bound to the agent's rule where it stands on it.

    Raises:
        RegistryError, ArtefactError, SpecificationError: it names nothing that can be used.
        DataError: a policy of another agent, or of another declaration.
    """
    if is_function(reference) or not isinstance(reference, str):
        function = served(workspace.specification, reference, workspace.home, where="compare")
        return Candidate(function.agent, function)
    policy = resolve_reference(workspace.registry, reference, base=workspace.rule)
    if policy.agent != workspace.name:
        raise DataError(
            f"a policy of {policy.agent} among those of {workspace.name}",
            where="compare",
            remedy=f"use retrainer evaluate --on {workspace.name}",
        )
    parsed = parse_reference(reference)
    return Candidate(
        str(parsed),
        aligned(policy, workspace.dataset),
        registered="" if parsed.path else f"{policy.agent}@{policy.version}",
        learned_from_select=learned_from_select(workspace, policy),
    )


def _not_asked(observation: Any) -> Any:
    raise AssertionError("the rule is bound when its agent is known")
