"""What a log knows of the agent's own rule where an earlier version of that rule decided: nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from envs.dataset import Dataset
from envs.log.evolution import kept


def forget_earlier_rules(dataset: Dataset, data: Path) -> None:
    """Blank ``root_probabilities`` where they were logged of another version of the rule than the declared one.

    They would value the present rule, and every policy that stands on it, by what the earlier one did. Which versions
    there were, the declarations say that are stored with the data. A promoted policy stands on the rule it was proven
    with, and its decisions name only itself: before the first decision of the present rule that was an earlier one.

    Args:
        dataset: as it was read off the log, without the rule being asked; changed in place.
        data: the home's ``data`` folder.
    """
    present = dataset.specification.rule_version
    earlier = {item.rule_version for item in kept(data, dataset.specification.name)} - {present}
    if not earlier:
        return
    versions = dataset.policy_versions
    own = versions == present
    positions = np.repeat(dataset.sequences, np.diff(dataset.offsets))
    before = positions < positions[own].min() if own.any() else np.ones(len(versions), dtype=bool)
    dataset.root_probabilities[dataset.rows[np.isin(versions, list(earlier)) | (before & ~own)]] = np.nan
