"""The stochastic policy that is evaluated, gated and served, and its file. Needs numpy alone."""

from __future__ import annotations

from envs.lazy import lazily

_HOMES = {
    "AdvantageNetwork": ".advantage_network",
    "BaseReference": ".parts",
    "Decision": ".parts",
    "ImprovementMap": ".components",
    "Layer": ".parts",
    "Network": ".network",
    "Policy": ".policy",
    "ProbabilityTable": ".components",
    "Provenance": ".provenance",
    "load_policy": ".artefact",
    "rule_probabilities": ".rule",
    "save_policy": ".artefact",
}
__all__ = sorted(_HOMES)

__getattr__, __dir__ = lazily(__name__, _HOMES)
