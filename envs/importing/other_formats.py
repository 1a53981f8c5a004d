"""Rows that evidently are of another format than they are read as, which a file's name does not tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

MARKS: Mapping[str, tuple[frozenset[str], ...]] = {
    "jsonl": (frozenset({"action", "observation"}), frozenset({"decision_id"})),
    "vowpal_wabbit": (
        frozenset({"_label_cost"}),
        frozenset({"_label_probability"}),
        frozenset({"EventId", "RewardValue"}),
    ),
    "record_action": (frozenset({"agent_name", "action_type", "input_data"}),),
    "rllib": (frozenset({"eps_id", "obs", "actions", "rewards"}),),
    "opentelemetry": tuple(frozenset({name}) for name in ("resourceSpans", "resourceLogs", "resourceMetrics")),
}
"""Sets of names by format: a row that has all of one is of that format."""
IN_PARQUET = ("rllib",)
"""Those whose rows are of Parquet; all others' are JSON Lines."""
PACKED = frozenset({"item"})
"""All names of a row in which RLlib keeps a whole episode."""


def format_of(names: Iterable[str]) -> str:
    """The format that a row's names show, as ``--format`` takes it; empty where they show none."""
    found = frozenset(names)
    if found == PACKED:
        return "rllib"
    return next((name for name, marks in MARKS.items() if any(mark <= found for mark in marks)), "")
