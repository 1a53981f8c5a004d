"""The same log under another reward, recomputed from what was recorded of every decision's outcome."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ai_engine.workspace import Workspace
from envs.counting import counted
from envs.errors import DataError, SpecificationError
from envs.expression import Expression
from envs.journal.journal import Journal
from envs.log.assembly import assemble


def with_reward(workspace: Workspace, reward: str) -> Workspace:
    """The workspace with all rewards by another expression over ``outcome``; episodes and splits stay.

    The declared reward range is of the declared reward and does not hold here, so that models are not
    clipped. Only for evaluation: nothing may be trained or entered in a ledger with it.

    Args:
        workspace: the agent's.
        reward: the expression (:class:`envs.expression.Expression`).

    Raises:
        SpecificationError: it is no expression.
        DataError: a decision has no outcome, or its outcome lacks a field that the expression reads.
    """
    try:
        Expression(reward)
    except SpecificationError as error:
        raise SpecificationError(error.problem, where="compare --reward", remedy=error.remedy) from None
    where = f"agent {workspace.name}, reward {reward!r}"
    inferred = tuple(name for name in workspace.specification.inferred if name != "reward_range")
    specification = replace(workspace.specification, reward=reward, reward_range=None, inferred=inferred)
    # Read up to a position, nothing is noted: this is no dataset that anything is trained on.
    last = Journal(workspace.home.journal_path).last_sequence(workspace.name)
    dataset, report = assemble(workspace.home, specification, rule=workspace.rule, until=last)
    if report.recorded_rewards:
        raise DataError(
            f"{counted(report.recorded_rewards, 'decision has', 'decisions have')} a reward and no outcome to compute"
            " another one from",
            where=where,
            remedy="record outcomes, or compare under the recorded reward",
        )
    before, after = workspace.dataset.sequences, dataset.sequences
    if missing := int((~np.isin(before, after)).sum()):
        raise DataError(
            f"{missing:,} of {len(before):,} episodes cannot be rewarded ({report.unscored_reason})",
            where=where,
            remedy="use fields that every outcome has; leaving episodes out would be another population",
        )
    return replace(
        workspace, specification=specification, dataset=dataset.select_episodes(np.isin(after, before)), report=report
    )


def tenants_of(workspace: Workspace) -> list[str]:
    """Whose each episode of the dataset is."""
    journal = Journal(workspace.home.journal_path)
    found = {sequence: record.tenant for sequence, record in journal.read(workspace.name)}
    return [found[int(sequence)] for sequence in workspace.dataset.sequences]
