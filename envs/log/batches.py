"""Batches of rows as a reader of the table wants them: not too small, and all with the same columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from envs.log.rows import SCHEMA

MOST_BYTES = 32 << 20  # of small batches that become one


def joined(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.RecordBatch]:
    """The same rows, successive small batches as one of at most ``size`` rows and about :data:`MOST_BYTES`."""
    held: list[pa.RecordBatch] = []
    rows = space = 0
    for batch in batches:
        if held and (rows + batch.num_rows > size or space > MOST_BYTES or batch.schema != held[0].schema):
            yield pa.concat_batches(held)
            held, rows, space = [], 0, 0
        held.append(batch)
        rows, space = rows + batch.num_rows, space + batch.nbytes
    if held:
        yield pa.concat_batches(held)


def completed(batch: pa.RecordBatch, wanted: Sequence[str]) -> pa.RecordBatch:
    """The batch with the wanted columns in their order, absent ones as nulls."""
    if batch.schema.names == list(wanted):
        return batch
    arrays = [
        batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows, SCHEMA.field(name).type)
        for name in wanted
    ]
    return pa.RecordBatch.from_arrays(arrays, names=list(wanted))
