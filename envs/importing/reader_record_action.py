"""The specification's own records: JSON Lines with the arguments of ``record_action``.

``agent_name``, ``action_type``, ``input_data``, ``output_data``, ``success``, ``execution_time``, ``confidence`` and
``explanation`` become what :meth:`~ai_engine.continuous_learning.LearningPipeline.record_action` makes of them: a
``confidence`` is no propensity and stays in metadata, ``success`` ends no episode and is an outcome. Fields of the
record (``propensity``, ``episode_id``, ``step``, ``reward``, ...) stand beside them under their own names; any
other field goes to metadata, unless it nearly is one of these, as it does in ``record_action``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from envs.importing.json_events import JsonEventsReader, no_options
from envs.misspelling import refuse_misspelt
from envs.record import KNOWN_NAMES
from envs.values import UnfitValueError, shown

RENAMED = {"agent_name": "agent", "action_type": "action", "input_data": "observation"}
OUTCOMES = {"success": "success", "execution_time": "execution_time", "output_data": "output"}
NOTES = ("confidence", "explanation")


def open_reader(source: str, options: Mapping[str, Any]) -> JsonEventsReader:
    """The reader of a file; there are no options.

    Raises:
        DataError: the file is not there.
    """
    no_options(options, (), source, "record_action files")
    return JsonEventsReader(source, "record_action", translated)


def translated(line: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The record of one call."""
    row: dict[str, Any] = {"mode": "live"}
    outcome: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    for name, value in line.items():
        if value is None:
            continue
        if name in RENAMED:
            if line.get(RENAMED[name]) is not None:
                raise UnfitValueError(f"is given as {name} too", "give it once", RENAMED[name])
            row[RENAMED[name]] = value
        elif name in OUTCOMES:
            outcome[OUTCOMES[name]] = value
        elif name in NOTES or name not in KNOWN_NAMES:
            if name not in NOTES:
                refuse_misspelt([name])
            metadata[name] = value
        elif name not in ("outcome", "metadata"):
            row[name] = value
    for name, gathered in (("outcome", outcome), ("metadata", metadata)):
        further = line.get(name)
        if further is None:
            further = {}
        if not isinstance(further, Mapping):
            raise UnfitValueError(f"{shown(further)} is not an object", "give named values", name)
        twice = gathered.keys() & further.keys()
        if twice:
            raise UnfitValueError("is given twice", "give it once", f"{name}.{min(twice)}")
        if gathered or further:
            row[name] = {**gathered, **further}
    yield row
