"""Policies that ``select`` taught: no row of it can judge them."""

from __future__ import annotations

from dataclasses import replace

from ai_engine.workspace import Workspace
from algorithms.ope.estimate import Estimate
from algorithms.policy import Policy

SELECT_LEARNERS = ("train and select", "all rows")
"""How the note of a version says that ``select`` taught it."""
TAUGHT = "select taught it, so no row of it can judge"


def learned_from_select(workspace: Workspace, policy: Policy) -> bool:
    """Whether the policy, or one that lives on in its layers, was trained on ``select``."""
    seen: set[str] = set()
    while not any(words in policy.provenance.note for words in SELECT_LEARNERS):
        parent = policy.provenance.parent
        if len(policy.layers) < 2 or parent in seen or parent not in workspace.registry.versions(workspace.name):
            return False
        seen.add(parent)
        policy = workspace.registry.version(workspace.name, parent)
    return True


def barred(estimate: Estimate, reason: str) -> Estimate:
    """The estimate without its number."""
    missing = float("nan")
    return replace(estimate, value=missing, lower=missing, upper=missing, refused=reason)
