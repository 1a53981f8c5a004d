"""Names that are nearly those of a record's fields: what was meant for a field must not end up in metadata unseen."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import lru_cache

from envs.record import FIELD_NAMES
from envs.values import UnfitValueError, shown

ARGUMENTS = (
    "agent_name",
    "action_type",
    "input_data",
    "output_data",
    "success",
    "execution_time",
    "confidence",
    "explanation",
)
"""Of :meth:`~ai_engine.continuous_learning.LearningPipeline.record_action`, in its order."""
SIMILAR = 0.8
# A shorter one is near to words of their own: a model is no mode.
_TELLING = [name for name in (*FIELD_NAMES, *ARGUMENTS) if len(name) > 4]


@lru_cache(maxsize=1024)  # the same few names come with every decision
def meant(name: str) -> str:
    """The field or argument that a foreign name nearly is; empty where it is a name of its own."""
    return next(iter(difflib.get_close_matches(name.lower(), _TELLING, 1, SIMILAR)), "")


def refuse_misspelt(foreign: Iterable[str]) -> None:
    """Refuse foreign names that nearly are one of ours.

    Raises:
        UnfitValueError: one is; names what was meant, and how to keep it on purpose.
    """
    for name in foreign:
        if isinstance(name, str) and (ours := meant(name)):
            remedy = f"spell it so, or keep it on purpose: metadata={{{shown(name)}: …}}"
            raise UnfitValueError(f"is not a field of a decision record, {ours} is", remedy, name)
