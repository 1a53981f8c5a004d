"""Fields whose values the declaration does not know: identifiers, and fields that mean something else by now."""

from __future__ import annotations

import numpy as np

from envs.card.findings import Finding
from envs.dataset import Dataset

LEAST_SHARE = 0.1
"""Of the decisions; fewer new names are what encoders have an indicator for."""


def unknown_values(dataset: Dataset) -> list[Finding]:
    """A finding for each category or tags field that often has a value that is not declared."""
    found = []
    observations = dataset.observations[dataset.rows]
    for column, field in enumerate(dataset.specification.observation.own):
        if not len(dataset) or field.type not in ("category", "tags"):
            continue
        values = observations[:, column]
        # An unknown tag adds the power of two behind those of the declared ones.
        unknown = values == -1.0 if field.type == "category" else values >= 2.0 ** len(field.categories)
        share = float(np.mean(unknown))
        if share >= LEAST_SHARE:
            found.append(
                Finding(
                    "unknown_values",
                    "warning",
                    f"{field.name} has an undeclared value in {100 * share:.0f} % of the decisions",
                    "all of these look alike to what is learned",
                    "declare the values, give the field its right type, or take it out where it only names something",
                )
            )
    return found
