"""Training done once for all variants that differ in nothing but their step, and read back from disk by each."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from envs.storage import LocalStorage
from tune_configs.training import TrainedComponent, Training
from tune_configs.variant import VariantSpecification


class SharedTraining:
    """What :class:`~tune_configs.training.Training` gives, of a training that a process has done before.

    Args:
        folder: where what is learned is kept; the first process that asks trains to the end, others wait for it.
        dataset: folder of the dataset's columns; ``train`` is learned from.
        champion: artefact file of the present champion.
        variant: what to train; the first of its seeds.
        iterations: after which checkpoints are kept; the last one always is.
    """

    def __init__(
        self, folder: Path, dataset: Path, champion: Path, variant: VariantSpecification, iterations: Sequence[int]
    ) -> None:
        learned = replace(variant, step=1.0).to_json()
        name = hashlib.sha256(json.dumps([learned, list(iterations)], sort_keys=True).encode()).hexdigest()[:16]
        store, key = LocalStorage(folder), f"{name}.json"
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = (folder / key).exists()
            if not known:
                kept = _train(dataset, champion, variant, iterations)
                store.replace(key, json.dumps([each.to_json() for each in kept]).encode())
        # Read back even where it was just written, so that all of them act on the same numbers.
        found = [TrainedComponent.from_json(item) for item in json.loads(store.read(key))]
        self._checkpoints = [replace(each, loading=0.0) for each in found] if known else found
        self._asked = 0

    def __enter__(self) -> SharedTraining:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    @property
    def finished(self) -> bool:
        """Whether all of it has been given."""
        return self._asked >= self._checkpoints[-1].iteration

    def at(self, iteration: int) -> TrainedComponent:
        """The last checkpoint of at most so many iterations."""
        self._asked = iteration
        return [each for each in self._checkpoints if each.iteration <= iteration][-1]


def _train(
    dataset: Path, champion: Path, variant: VariantSpecification, iterations: Sequence[int]
) -> list[TrainedComponent]:
    found = []
    with Training(dataset, champion, variant) as training:
        for iteration in iterations:
            found.append(training.at(iteration))
            if training.finished:
                break
    return found
