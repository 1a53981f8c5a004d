"""Runs as TensorBoard's event files: ``runs/RUN/tensorboard``, a folder a trial."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from ai_engine.tracking.tracked_run import TrackedEntry, TrackedRun

FOLDER, WRITTEN = "tensorboard", "digest"
COMPARED = ("gain/lower", "gain/value", "gain/upper", "model_gain", "effective_sample_size", "metric")
"""Figures beside the hyperparameters in TensorBoard's table."""


def write_events(run: TrackedRun, directory: Path) -> int:
    """Write the trials that are not there yet, or differ; each folder appears whole.

    Args:
        run: what is written.
        directory: the run's folder.

    Returns:
        How many were written.
    """
    written = 0
    for entry in run.entries:
        number, _, rest = entry.key.partition(" ")
        folder = directory / FOLDER / f"{number.zfill(4)}{'-' * bool(rest)}{rest}"
        if (folder / WRITTEN).is_file() and (folder / WRITTEN).read_text() == entry.digest:
            continue
        unfinished = folder.with_name(f".{folder.name}")
        for old in (unfinished, folder):
            shutil.rmtree(old, ignore_errors=True)
        _write(unfinished, entry, run.started / 1000)
        (unfinished / WRITTEN).write_text(entry.digest)
        unfinished.rename(folder)
        written += 1
    return written


def _write(folder: Path, entry: TrackedEntry, moment: float) -> None:
    tensorboard = import_module("tensorboardX")
    hparams = import_module("tensorboardX.summary").hparams
    names = {point.name for point in entry.points}
    with tensorboard.SummaryWriter(str(folder)) as writer:
        # SummaryWriter.add_hparams would put them into a run of their own.
        for summary in hparams(dict(entry.parameters), {name: 0.0 for name in COMPARED if name in names}):
            writer.file_writer.add_summary(summary, walltime=moment)
        for point in entry.points:
            writer.add_scalar(point.name, point.value, point.step, walltime=moment)
        writer.add_text("trial", _markdown(entry.tags), walltime=moment)


def _markdown(tags: Mapping[str, str]) -> str:
    rows = "".join(f"| {name} | {value} |\n" for name, value in tags.items())
    return f"| tag | |\n|---|---|\n{rows}"
