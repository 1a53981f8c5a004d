"""What stands behind every number of a log, said beside it in the same words by every command."""

from __future__ import annotations

from ai_engine.text import ESTIMATED_PROPENSITIES
from envs.card.grade import MEANINGS
from envs.counting import counted
from tune_configs.gate.planning import FIRST_EXPLORATION

NOTICEABLE = 0.01
"""Share of decisions without chance from which it is told."""


def provisos(grade: str, *, estimated: bool, cut: int = 0) -> str:
    """Sentences, each after a space; empty where the log proves what it says.

    Args:
        grade: of the log; empty where it is said already. On C a policy near the one that wrote it may still be valued,
            but no gain is proven.
        estimated: whether the propensities are estimated.
        cut: episodes that were cut before the horizon, which every value but that of a gate weighs for.
    """
    were = counted(cut, "episode was", "episodes were")
    seen = f" {were} cut before the horizon: values count them as cut by chance." if cut else ""
    unproven = f" The log is grade {grade}: {MEANINGS[grade]}." if grade in ("C", "D") else ""
    return seen + unproven + (f" {ESTIMATED_PROPENSITIES}" if estimated else "")


def without_exploration(agent: str, version: str, certain_share: float, *, promoted: bool = False) -> str:
    """What follows from a policy that leaves decisions to no chance, as a sentence after a space; empty of very few.

    Args:
        agent: the agent.
        version: of it, ``agent@N``.
        certain_share: share of its decisions.
        promoted: whether it is the champion by now. Exploration costs: no gate puts it in such a champion's place.
    """
    if certain_share < NOTICEABLE:
        return ""
    then = ", and promote what it recommends with --override" if promoted else ""
    return (
        f" {version} leaves nothing to chance in {100 * certain_share:.0f} % of its decisions, of which its own log "
        f"will prove nothing: declare explore (such as {FIRST_EXPLORATION:g}) under [agents.{agent}] and run "
        f"retrainer tune {agent}{then}."
    )
