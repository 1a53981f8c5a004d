"""A dataset as callers give it: itself, or the directory where its columns are stored."""

from __future__ import annotations

from pathlib import Path

from envs.columns import load_columns
from envs.dataset import Dataset
from envs.errors import DataError


def open_dataset(dataset: Dataset | str | Path | None, splits: tuple[str, ...] | None = None) -> Dataset:
    """The dataset itself, or the one stored in a directory; only the named splits where any are named.

    Raises:
        DataError: no dataset, or no episode is left.
    """
    if dataset is None:
        raise DataError("no dataset is given", where="dataset", remedy="give a dataset or the directory of one")
    whole = dataset if isinstance(dataset, Dataset) else load_columns(dataset)
    chosen = whole if splits is None else whole.split(*splits)
    if not len(chosen):
        named = "" if splits is None else f" in the splits {', '.join(splits)}"
        where = f"agent {whole.specification.name}"
        raise DataError(f"the dataset has no decisions{named}", where=where, remedy="import more data")
    return chosen
