"""Why nothing can be learned from a log: what makes it grade D."""

from __future__ import annotations

import math

from envs.card.evidence import Evidence
from envs.card.findings import Finding
from envs.counting import counted
from envs.specification import AgentSpecification

LARGEST_BEYOND = 0.01
"""Share of decisions behind a horizon that was only inferred."""


def obstacles(evidence: Evidence, specification: AgentSpecification) -> list[Finding]:
    """A finding for each reason; none where something can be learned.

    Args:
        evidence: the log's figures.
        specification: the agent's declaration.
    """
    learn = "nothing can be learned"
    found = []
    if evidence.units < specification.minimum_units:
        missing = specification.minimum_units - evidence.units
        found.append(
            Finding(
                "too_few_units",
                "error",
                f"{counted(evidence.units, 'independent unit')} ({specification.unit}s) of at least "
                f"{specification.minimum_units:,}",
                learn,
                f"log {missing} more, or declare a smaller minimum_units",
            )
        )
    if evidence.decisions and evidence.actions_tried < 2:
        found.append(
            Finding(
                "one_action",
                "error",
                f"every one of {evidence.decisions:,} decisions took the same action",
                f"{learn} about any other",
                "explore: take another action in a few per cent of the decisions",
            )
        )
    if evidence.constant_reward:
        found.append(
            Finding(
                "constant_reward",
                "error",
                "every decision has the same reward, and every episode the same return",
                "no action looks better than another, and " + learn,
                "check the reward expression and the recorded outcomes",
            )
        )
    if evidence.overlap is not None and not math.isfinite(evidence.overlap.deviation):
        found.append(
            Finding(
                "boundless_rewards",
                "error",
                "rewards are so large that their squares are no numbers any more",
                learn,
                "correct them, exclude such decisions (retrainer log exclude), or declare a reward in another unit",
            )
        )
    if evidence.episodes and not evidence.complete_episodes:
        found.append(
            Finding(
                "no_complete_episode",
                "error",
                f"no episode terminated or reached the horizon of {specification.horizon}",
                "no return is known, and " + learn,
                "record terminated, or declare a shorter horizon",
            )
        )
    if "horizon" in specification.inferred and evidence.beyond > LARGEST_BEYOND * evidence.decisions:
        # A draft that was made of the first decision knows one; of a log that was shorter then, too few.
        found.append(
            Finding(
                "undeclared_horizon",
                "error",
                f"episodes have up to {evidence.longest:,} decisions, and nobody declared that only the first "
                f"{specification.horizon:,} count",
                f"{evidence.beyond:,} of {evidence.decisions:,} decisions would count for nothing",
                f"declare horizon = {evidence.longest} in [agents.{specification.name}] and remove it from inferred",
            )
        )
    return found
