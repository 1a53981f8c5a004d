"""Acting: the agent in production, its policies and their registry. Needs numpy alone."""

from __future__ import annotations

from envs.lazy import lazily

_HOMES = {
    "Agent": ".agent",
    "Decision": "algorithms.policy.parts",
    "Policy": "algorithms.policy.policy",
    "Registry": ".registry",
    "load_policy": "algorithms.policy.artefact",
}
__all__ = sorted(_HOMES)

__getattr__, __dir__ = lazily(__name__, _HOMES)
