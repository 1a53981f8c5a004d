"""A dataset on disk: one ``.npy`` file per column and a small JSON file, mapped into memory when read.

The directory appears complete or not at all, and nothing in it can run code when it is read.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from envs.dataset import EPISODE_COLUMNS, ROW_COLUMNS, Dataset
from envs.declaration import from_table, specification_hash, to_table
from envs.errors import DataError, SpecificationError

FORMAT_VERSION = 2
DESCRIPTION = "specification.json"
COLUMNS = tuple(item.name for item in fields(Dataset) if item.name not in ("specification", "identifier"))
EPISODES = (*EPISODE_COLUMNS, "offsets")
WIDE_COLUMNS = ("action_probabilities", "guardrails")
STEP_COLUMNS = tuple(name for name in COLUMNS if name not in (*ROW_COLUMNS, *EPISODES, *WIDE_COLUMNS))
REMEDY = "build the dataset again from the journal"


def save_columns(dataset: Dataset, directory: str | Path) -> Path:
    """Writes the dataset; a directory that was there before is replaced.

    Written to a temporary neighbour first and renamed, so that a reader or a killed process never
    sees half of it.

    Returns:
        The directory.
    """
    target = Path(directory)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for column in COLUMNS:
            np.save(temporary / f"{column}.npy", getattr(dataset, column), allow_pickle=False)
        description = {
            "format_version": FORMAT_VERSION,
            "identifier": dataset.identifier,
            "agent": dataset.specification.name,
            "specification": to_table(dataset.specification),
            "specification_hash": specification_hash(dataset.specification),
        }
        (temporary / DESCRIPTION).write_text(json.dumps(description, indent=1, sort_keys=True), encoding="utf-8")
        old = Path(f"{temporary}-old")
        if target.exists():
            os.rename(target, old)
        os.rename(temporary, target)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return target


def load_columns(directory: str | Path, mmap: bool = True) -> Dataset:
    """The dataset that :func:`save_columns` wrote.

    Args:
        directory: where it was written.
        mmap: map the columns read-only instead of reading them.

    Raises:
        DataError: the directory is absent, incomplete or damaged; names the file.
    """
    source = Path(directory)
    try:
        description = json.loads((source / DESCRIPTION).read_text(encoding="utf-8"))
        version = description["format_version"]
        specification = from_table(description["agent"], description["specification"])
        identifier = str(description["identifier"])
        expected = description["specification_hash"]
    except FileNotFoundError:
        raise DataError("is not a dataset", where=str(source), remedy=REMEDY) from None
    except (ValueError, KeyError, TypeError, OSError, SpecificationError) as error:
        raise DataError(f"is damaged ({error})", where=str(source / DESCRIPTION), remedy=REMEDY) from None
    if version != FORMAT_VERSION:
        problem = f"has format {version!r}, this version reads {FORMAT_VERSION}"
        raise DataError(problem, where=str(source), remedy=REMEDY)
    if specification_hash(specification) != expected:
        raise DataError("does not hold what it was written with", where=str(source / DESCRIPTION), remedy=REMEDY)
    columns = {column: _load(source / f"{column}.npy", mmap) for column in COLUMNS}
    dataset = Dataset(specification=specification, identifier=identifier, **columns)
    _check_shapes(dataset, source)
    return dataset


def _load(path: Path, mmap: bool) -> np.ndarray:
    try:
        array: Any = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except FileNotFoundError:
        raise DataError("is missing", where=str(path), remedy=REMEDY) from None
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"is damaged ({error})", where=str(path), remedy=REMEDY) from None
    # As a plain array: every later slice of a np.memmap would drag the subclass along.
    return np.asarray(array)


def _check_shapes(dataset: Dataset, source: Path) -> None:
    offsets = dataset.offsets
    if offsets.ndim != 1 or len(offsets) == 0 or offsets[0] != 0 or (np.diff(offsets) <= 0).any():
        raise DataError("is not a list of episode offsets", where=str(source / "offsets.npy"), remedy=REMEDY)
    decisions, episodes = int(offsets[-1]), len(offsets) - 1
    actions = len(dataset.specification.actions)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(STEP_COLUMNS, (decisions,))
    shapes |= dict.fromkeys(EPISODE_COLUMNS, (episodes,))
    shapes["observations"] = (decisions + episodes, dataset.specification.observation.size)
    shapes["allowed"] = shapes["root_probabilities"] = (decisions + episodes, actions)
    shapes["action_probabilities"] = (decisions, actions)
    shapes["guardrails"] = (decisions, len(dataset.specification.guardrails))
    for column, shape in shapes.items():
        found = getattr(dataset, column).shape
        if found != shape:
            raise DataError(f"has shape {found}, not {shape}", where=str(source / f"{column}.npy"), remedy=REMEDY)
