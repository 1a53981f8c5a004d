"""RLlib: the Parquet files that ``config.offline_data(output=...)`` writes, a file or a folder, also of ``s3://``.

Both layouts are read: whole episodes (``output_write_episodes=True``, one msgpack in a column ``item``) and
columns (one row a step). RLlib keeps no step numbers in columns, and writes what it has written before once more
into the next file (its buffer is emptied only with ``output_max_rows_per_file``); a step's ``event_id`` is made of
episode and step, so what is there twice is imported once. The propensity is ``exp(action_logp)``.

Observations are compressed with pickle by default: such rows are refused, ``output_compress_columns=[]`` avoids it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from envs.counting import counted
from envs.errors import DataError
from envs.importing.episode_columns import OPENING, ColumnEpisodes, RowError, propensity
from envs.importing.episode_state import StateError, buffer, unpacked
from envs.importing.files import SourceFile, is_stored, source_file, stored_below
from envs.importing.reader_parquet import column_values
from envs.importing.readers import RowBatch
from envs.importing.row_building import in_batches, missing, numbers_in, reason, rejected
from envs.importing.rows import SourceRow
from envs.importing.step_values import OddValuesError, actions, observations

ROWS = 256
MAXIMUM_GROUP = 2**30
"""Bytes that one row group may unpack to."""
AGAIN = "record it again"


def open_reader(source: str, options: Mapping[str, Any]) -> RllibReader:
    """The reader of a file, or of all Parquet files below a folder; errors as of :func:`open_together`."""
    return open_together([source], options)


def open_together(sources: Sequence[str], options: Mapping[str, Any]) -> RllibReader:
    """The reader of one recording, of which several files or folders are named; there are no options.

    Raises:
        DataError: there is no file.
        MissingExtraError: pyarrow or msgpack is not installed.
    """
    if options:
        raise DataError(f"{next(iter(options))!r} is no option of RLlib's files", where=sources[0], remedy="remove it")
    try:
        import pyarrow.parquet
    except ImportError:
        raise missing("pyarrow", "reading RLlib's files", sources[0], "train") from None
    assert pyarrow.parquet
    return RllibReader(sources)


class RllibReader:
    """Reads a recording in the order of its files. The position is ``file:row:step``, of the next step.

    Rows are numbered through all files: RLlib may write one file for each.
    """

    def __init__(self, sources: Sequence[str]) -> None:
        more = len(sources) - 1
        self.source = f"{sources[0]} and {counted(more, 'more source')}" if more else sources[0]
        self.preset: Mapping[str, Any] = {}
        remedy = "name what RLlib was told as output="
        found: set[str] = set()
        for source in sources:
            names = _names(source)
            if not names:
                raise DataError("has no Parquet files", where=source, remedy=remedy)
            found.update(names)
        self._files = [source_file(name) for name in sorted(found, key=_natural)]
        if self._files[0].opening != b"PAR1":
            raise DataError("is not Parquet", where=self._files[0].name, remedy=remedy)
        self.size = sum(file.size for file in self._files)

    def identity(self) -> str:
        """A digest of the names, sizes and times of modification of all files."""
        told = "\n".join(file.identity for file in self._files)
        return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()

    def batches(self, after: str = "") -> Iterator[RowBatch]:
        """The steps behind a position."""
        return in_batches(self._rows(after))

    def _rows(self, after: str) -> Iterator[tuple[SourceRow, str, int]]:
        first, first_row, first_step = numbers_in(after, 3, self.source)
        columns = ColumnEpisodes()
        before = done = 0
        for index, file in enumerate(self._files):
            for row, step, steps, share, made in self._file(file, before, columns):
                before, last = row, step + 1 >= steps
                if (index, row, step) < (first, first_row, first_step):
                    continue  # seen before; columns had to count it again
                behind = f"{index}:{row + last}:{0 if last else step + 1}"
                yield made, behind, done + int(share * file.size)
            done += file.size

    def _file(
        self, stored: SourceFile, before: int, columns: ColumnEpisodes
    ) -> Iterator[tuple[int, int, int, float, SourceRow]]:
        """Row from ``before + 1``, step of it and number of its steps, share of the file read, what becomes of it."""
        import pyarrow as arrow
        import pyarrow.parquet as parquet

        file, row = stored.name, before
        try:
            with stored.open() as stream, parquet.ParquetFile(stream, page_checksum_verification=True) as opened:
                packed = opened.schema_arrow.names == ["item"]
                total = max(1, opened.metadata.num_rows)
                for group in range(opened.num_row_groups):
                    if opened.metadata.row_group(group).total_byte_size > MAXIMUM_GROUP:
                        problem = f"unpacks to more than {MAXIMUM_GROUP // 2**20} MB at once"
                        yield row + 1, 0, 1, 1.0, rejected(file, row + 1, "row", problem, "write smaller row groups")
                        return
                    if not packed and group == 0:
                        first = next(opened.iter_batches(OPENING, row_groups=[0]), None)
                        columns.begin(file.rpartition("/")[0], [] if first is None else _plain(arrow, first))
                    for batch in opened.iter_batches(8 if packed else ROWS, row_groups=[group]):
                        for content in _plain(arrow, batch):
                            row += 1
                            made = _episode(file, row, content) if packed else _step(file, row, content, columns)
                            for step, item in enumerate(made):
                                yield row, step, len(made), min(1.0, (row - before) / total), item
        except (arrow.ArrowException, OSError, ValueError, TypeError, NotImplementedError) as error:
            problem = f"cannot be read ({reason(error)})"
            remedy = "copy the file again, it is truncated or damaged"
            yield row + 1, 0, 1, 1.0, rejected(file, row + 1, "row", problem, remedy)


def _episode(file: str, row: int, content: Mapping[str, Any]) -> list[SourceRow]:
    """The steps of a packed episode."""
    try:
        packed = content.get("item")
        if not isinstance(packed, bytes):
            raise StateError("is empty")
        return [SourceRow(file, row, step) for step in episode_steps(unpacked(packed, file))]
    except (StateError, OddValuesError) as error:
        return [rejected(file, row, "item", str(error), AGAIN)]
    except (ValueError, TypeError) as error:  # arrays of what does not make an array
        return [rejected(file, row, "item", f"holds no episode ({reason(error)})", AGAIN)]


def _step(file: str, row: int, content: dict[str, Any], columns: ColumnEpisodes) -> list[SourceRow]:
    """The one step of a row of columns."""
    try:
        return [SourceRow(file, row, columns.content(content))]
    except RowError as error:
        return [rejected(file, row, error.field, error.problem, error.remedy)]


def episode_steps(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps of an episode's state, by the record's names.

    Raises:
        StateError: it is no single-agent episode.
        OddValuesError: observations or actions are of a kind that a record has not.
    """
    name, started = state.get("id_"), state.get("t_started", 0)
    if "agent_ids" in state or "agent_episodes" in state:
        raise StateError("is of several agents")
    if not isinstance(name, str) or not name or not isinstance(started, int) or started < 0:
        raise StateError("is no episode's state")
    seen, taken = observations(buffer(state, "observations")), actions(buffer(state, "actions"))
    rewards = buffer(state, "rewards")
    if isinstance(rewards, Mapping) or rewards.dtype.kind not in "biuf" or rewards.size != len(rewards):
        raise StateError("has rewards that are not one number a step")
    if not len(taken) == len(rewards) == len(seen) - 1:
        raise StateError(f"has {len(seen)} observations, {len(taken)} actions and {len(rewards)} rewards")
    outputs = state.get("extra_model_outputs")
    logged = buffer(outputs, "action_logp") if isinstance(outputs, dict) and outputs.get("action_logp") else None
    if logged is not None and (isinstance(logged, Mapping) or logged.shape != (len(taken),)):
        raise StateError("has action_logp that is not one number a step")
    steps = []
    for place, reward in enumerate(rewards.reshape(-1).tolist()):
        step = {
            "event_id": f"{name}-{started + place}",
            "episode_id": name,
            "step": started + place,
            "observation": seen[place],
            "action": taken[place],
            "reward": float(reward),
        }
        if logged is not None:
            step["propensity"] = propensity(float(logged[place]), taken[place])
        steps.append(step)
    if steps:
        steps[-1]["next_observation"] = seen[-1]
        for field, flag in (("terminated", "is_terminated"), ("truncated", "is_truncated")):
            ended = state.get(flag)
            if not isinstance(ended, (bool, np.bool_)):
                raise StateError(f"does not say {flag}")
            if ended:
                steps[-1][field] = True
    return steps


def _names(source: str) -> list[str]:
    """The Parquet files below a folder, of this machine or of a store, or the one that is named."""
    if is_stored(source):
        return [source] if source.endswith(".parquet") else stored_below(source)
    place = Path(source)
    return [str(path) for path in place.rglob("*.parquet")] if place.is_dir() else [source]


def _natural(path: str) -> list[Any]:
    """Parts of the path, numbers by their value."""
    parts = re.split(r"(\d+)", path)
    return [(int(part) if place % 2 else 0, part) for place, part in enumerate(parts)]


def _plain(arrow: Any, batch: Any) -> Iterator[dict[str, Any]]:
    """The rows of a batch; tensors as the lists that hold them, whether Ray has told pyarrow of its types or not."""
    columns = [column_values(arrow, column) for column in batch.columns]
    for values in zip(*columns, strict=True):
        yield dict(zip(batch.schema.names, values, strict=True))
