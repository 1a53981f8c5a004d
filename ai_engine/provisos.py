"""What stands behind every number of a log, said beside it in the same words by every command."""

from __future__ import annotations

from ai_engine.text import ESTIMATED_PROPENSITIES
from envs.card.grade import MEANINGS
from tune_configs.gate.planning import FIRST_EXPLORATION


def provisos(grade: str, *, estimated: bool) -> str:
    """Sentences, each after a space; empty where the log proves what it says.

    Args:
        grade: of the log; empty where it is said already. On C a policy near the one that wrote it may still be valued,
            but no gain is proven.
        estimated: whether the propensities are estimated.
    """
    unproven = f" The log is grade {grade}: {MEANINGS[grade]}." if grade in ("C", "D") else ""
    return unproven + (f" {ESTIMATED_PROPENSITIES}" if estimated else "")


def without_exploration(agent: str, version: str) -> str:
    """What follows from a policy that leaves nothing to chance, as a sentence after a space.

    Args:
        agent: the agent.
        version: of it, ``agent@N``.
    """
    return (
        f" {version} leaves nothing to chance, so that its own log will prove nothing: declare explore "
        f"(such as {FIRST_EXPLORATION:g}) under [agents.{agent}] and run retrainer tune {agent}."
    )
