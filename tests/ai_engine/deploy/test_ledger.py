"""The ledger under races, kills and forgery: exactly one loadable champion, and no change unnoticed."""

from __future__ import annotations

import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agents import improved, opened, passed, promoted, rule, version_zero

from ai_engine.deploy.registry import Registry
from ai_engine.deploy.versions import Versions
from algorithms.policy import load_policy
from envs.errors import ArtefactError, RegistryError
from envs.storage import LocalStorage

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = opened(tmp_path)
    registry.initialise(version_zero())
    return registry


def _race_to_promote(path: Path, version: str, gate: int, barrier: Any, results: Any) -> None:
    registry = opened(path)
    registry.champion("scaling")
    barrier.wait()
    try:
        registry.promote("scaling", version, gate_entry=gate)
        results.put(version)
    except RegistryError as error:
        results.put(str(error))


def test_of_many_promotions_at_once_exactly_one_wins(tmp_path: Path) -> None:
    for trial in range(5):
        path = tmp_path / str(trial)
        registry = opened(path)
        registry.initialise(version_zero())
        versions = [registry.add_version(improved(seed=seed)) for seed in range(4)]
        gates = [passed(registry, version).number for version in versions]
        barrier, results = FORK.Barrier(4), FORK.Queue()
        processes = [
            FORK.Process(target=_race_to_promote, args=(path, version, gate, barrier, results))
            for version, gate in zip(versions, gates, strict=True)
        ]
        for process in processes:
            process.start()
        answers = [results.get(timeout=30) for _ in processes]
        for process in processes:
            process.join()
        winners = [answer for answer in answers if answer in versions]
        assert len(winners) == 1 and opened(path).champion("scaling") == winners[0]
        assert load_policy(path / "scaling_model.json", base=rule).version == winners[0]
        assert registry.verify("scaling") == 6


def _add_versions(path: Path, results: Any) -> None:
    results.put([opened(path).add_version(improved(seed=seed)) for seed in range(5)])


def test_concurrent_writers_never_share_a_version_number(registry: Registry, tmp_path: Path) -> None:
    results = FORK.Queue()
    processes = [FORK.Process(target=_add_versions, args=(tmp_path, results)) for _ in range(3)]
    for process in processes:
        process.start()
    numbers = [version for _ in processes for version in results.get(timeout=30)]
    for process in processes:
        process.join()
    assert sorted(map(int, numbers)) == list(range(1, 16))


def _initialise(path: Path, explore: float, barrier: Any) -> None:
    registry = opened(path)
    barrier.wait()
    registry.initialise(version_zero(explore=explore))


def test_of_many_initialisations_at_once_one_counts(tmp_path: Path) -> None:
    barrier = FORK.Barrier(4)
    processes = [FORK.Process(target=_initialise, args=(tmp_path, 0.1 * n, barrier)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    registry = opened(tmp_path)
    assert len(registry.history("scaling")) == 1 and registry.verify("scaling") == 1
    assert load_policy(tmp_path / "scaling_model.json", base=rule).version == registry.champion("scaling")


def _die(*_: Any) -> None:
    os._exit(9)


@pytest.mark.parametrize(
    ("where", "champion"),
    [((LocalStorage, "create_if_absent"), "0"), ((Versions, "publish"), "1"), ((LocalStorage, "replace"), "1")],
)
def test_a_kill_at_any_moment_leaves_one_loadable_champion(
    registry: Registry, tmp_path: Path, where: tuple, champion: str
) -> None:
    version = registry.add_version(improved())
    gate = passed(registry, version).number

    def child() -> None:
        registry = opened(tmp_path)
        setattr(*where, _die)
        registry.promote("scaling", version, gate_entry=gate)

    process = FORK.Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 9
    assert load_policy(tmp_path / "scaling_model.json", base=rule).version == "0", "the copy is still whole"
    assert opened(tmp_path).champion("scaling") == champion
    assert load_policy(tmp_path / "scaling_model.json", base=rule).version == champion, "repaired on open"


def test_initialisation_that_died_before_its_entry_is_repeated(tmp_path: Path) -> None:
    Versions(LocalStorage(tmp_path)).keep(version_zero(explore=0.4), "0")
    registry = opened(tmp_path)
    assert registry.initialise(version_zero()) == "1" and registry.version("scaling").explore == 0.1


def entry_files(path: Path) -> list[Path]:
    return sorted((path / "ledger" / "scaling").iterdir())


def test_any_change_of_the_ledger_is_noticed(registry: Registry, tmp_path: Path) -> None:
    promoted(registry)
    for file in entry_files(tmp_path):
        original = file.read_bytes()
        value = json.loads(original)
        forged = json.dumps({**value, "version": "5"}, sort_keys=True, separators=(",", ":")).encode() + b"\n"
        for content in (original[:-2], original.replace(b"scaling", b"scalinf", 1), forged, b""):
            file.write_bytes(content)
            for read in (lambda: registry.verify("scaling"), lambda: opened(tmp_path).champion("scaling")):
                with pytest.raises(RegistryError, match=rf"ledger/scaling/{file.name}"):
                    read()
        file.write_bytes(original)
    assert registry.verify("scaling") == 3


def test_an_entry_replaced_by_a_well_formed_one_breaks_the_chain(tmp_path: Path) -> None:
    for name, explore in (("a", 0.1), ("b", 0.2)):
        registry = opened(tmp_path / name)
        registry.initialise(version_zero(explore=explore))
        promoted(registry)
    mine, other = entry_files(tmp_path / "a"), entry_files(tmp_path / "b")
    mine[0].write_bytes(other[0].read_bytes())
    with pytest.raises(RegistryError, match=r"00000002\.json: .*does not continue"):
        opened(tmp_path / "a").champion("scaling")


def test_a_removed_entry_is_noticed_and_never_written_again(registry: Registry, tmp_path: Path) -> None:
    promoted(registry)
    entry_files(tmp_path)[1].unlink()
    with pytest.raises(RegistryError, match=r"00000002\.json.*missing"):
        registry.hold("scaling", "x")
    with pytest.raises(RegistryError, match=r"00000002\.json.*missing"):
        opened(tmp_path).champion("scaling")


def test_an_exchanged_artefact_is_noticed(registry: Registry, tmp_path: Path) -> None:
    version = promoted(registry)
    other = registry.add_version(improved(seed=3))
    path, copy = registry.path("scaling", version), tmp_path / "scaling_model.json"
    intact = path.read_bytes()
    path.write_bytes(registry.path("scaling", other).read_bytes())
    with pytest.raises(ArtefactError, match="not the file that the ledger names"):
        registry.verify("scaling")
    path.write_bytes(replace(improved(seed=3), version=version).to_bytes())
    with pytest.raises(ArtefactError, match="not the file that the ledger names"):
        registry.version("scaling", version)
    opened(tmp_path)
    assert path.read_bytes() == intact == copy.read_bytes(), "restored from the intact copy"
    path.unlink()
    opened(tmp_path)
    assert path.read_bytes() == intact
    path.write_bytes(b"")
    copy.write_bytes(b"")
    with pytest.raises(ArtefactError, match=r"versions/scaling/1\.json"):
        opened(tmp_path).version("scaling")
