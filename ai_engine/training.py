"""``train``: one algorithm on one agent's log, without a search."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ai_engine.locking import refuse_busy, retraining_lock
from ai_engine.runs import FINISHED, Run
from ai_engine.text import number, table
from ai_engine.tracking.following import tracked
from ai_engine.workspace import open_workspace
from algorithms.policy.provenance import plain_json
from envs.columns import save_columns
from envs.counting import counted
from envs.errors import DataError
from envs.home import Home
from tune_configs.spaces import default_algorithm
from tune_configs.training import check_variant, train_component
from tune_configs.trial import variant_policy
from tune_configs.variant import Value, VariantSpecification


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A trained version.

    Attributes:
        version: ``agent@N``.
        algorithm: registry name.
        decisions: decisions learned from.
        statistics: figures of the training.
        seconds: wall-clock time of learning alone.
        note: what to know of it.
    """

    version: str
    algorithm: str
    decisions: int
    statistics: dict[str, float]
    seconds: float
    note: str

    def to_json(self) -> dict[str, Any]:
        """One document."""
        plain: dict[str, Any] = plain_json({"schema_version": 1, **{n: getattr(self, n) for n in self.__slots__}})
        return plain

    def to_text(self) -> str:
        """The figures and one sentence."""
        rows = [(name, number(value)) for name, value in sorted(self.statistics.items())]
        return (
            f"{table((), rows)}\n{self.version} learned from {counted(self.decisions, 'decision')} "
            f"in {self.seconds:.1f} s{f' ({self.note})' if self.note else ''}; it is nobody's champion."
        )


def train(
    name: str,
    *,
    algorithm: str | None = None,
    home: Home | str | Path | None = None,
    hyperparameters: Mapping[str, Value] | None = None,
    step: float = 1.0,
    seed: int = 0,
    until: str | None = None,
    refit_all: bool = False,
    tags: Mapping[str, str] | None = None,
    track: Sequence[str] | None = None,
) -> TrainResult:
    """Train one algorithm and keep the result as a version.

    Args:
        name: the agent.
        algorithm: registry name; by default the one that ``tune`` tries first for the agent.
        home: the home.
        hyperparameters: that differ from the algorithm's defaults.
        step: η, the size of the step from the champion to what is learned.
        seed: of the algorithm.
        until: RFC 3339 time; only episodes that began before it are learned from.
        refit_all: learn from all rows, ``final`` included; such a version can never pass the gate.
        tags: kept with the run, to find it by.
        track: where it is tracked, ``mlflow`` and ``tensorboard``; by default where the environment or the home says.

    Raises:
        DataError: nothing to learn from, or a step outside (0, 1].
        SpecificationError: an unknown algorithm, hyperparameter or field, or a value out of its range.
        BusyError: the agent is being retrained.
    """
    if not 0.0 < step <= 1.0:
        raise DataError(f"step is {step}", where="train", remedy="give a number in (0, 1]")
    workspace = open_workspace(name, home)
    algorithm = algorithm or default_algorithm(workspace.specification)
    variant = VariantSpecification(algorithm, dict(hyperparameters or {}), step, (seed,))
    refuse_busy(workspace.home, name)
    check_variant(variant, workspace.specification)
    workspace.learnable()
    splits: tuple[str, ...] = ("train", "select", "final") if refit_all else ("train",)
    dataset = workspace.dataset
    notes = ["ungated: trained on all rows, final included"] if refit_all else []
    if until is not None:
        dataset = dataset.select_episodes(dataset.timestamps[dataset.offsets[:-1]] < _seconds(until))
        notes.append(f"episodes before {until}")
    learned = dataset.split(*splits)
    if not len(learned):
        raise DataError("no decision to learn from", where=f"agent {name}", remedy="log more, or choose a later time")
    with tracked(workspace.home, [name], track), retraining_lock(workspace.home, name):
        champion = workspace.champion()
        run = Run.create(workspace.home, name, "train", {"variants": [variant.to_json()], "until": until}, tags)
        try:
            (run.path / "champion.json").write_bytes(champion.to_bytes())
            columns = save_columns(learned, run.path / "dataset")
            started = time.monotonic()
            trained = train_component(columns, run.path / "champion.json", variant, splits=splits)
            seconds = time.monotonic() - started
            policy = variant_policy(champion, trained, variant, learned, note="; ".join(notes))
            version = workspace.registry.add_version(policy)
        except BaseException:
            run.discard()  # there is nothing in it to go on from
            raise
        result = TrainResult(
            f"{name}@{version}", algorithm, len(learned), trained.statistics, seconds, "; ".join(notes)
        )
        run.write("result.json", result.to_json())
        run.update(status=FINISHED)
        shutil.rmtree(run.path / "dataset")
    return result


def _seconds(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise DataError(f"{text!r} is no time with a zone", where="until", remedy="write 2019-11-27T12:00:00Z")
    return moment.timestamp()
