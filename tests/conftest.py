"""A small home with a log and one with a finished sweep, made once; tests that change them get copies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import ai_engine
from ai_engine.tune_result import TuneResult
from envs.home import Home
from tests import homes


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Many short files at the end: no worker is left alone with a long one."""
    items.sort(key=lambda item: "envs" in item.path.parts)


@pytest.fixture(scope="session")
def small_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the small agent's log. Not to be changed: see ``home``."""
    return homes.make_home(tmp_path_factory.mktemp("small") / "home").path


@pytest.fixture(scope="session")
def swept_home(small_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TuneResult]:
    """The same after one sweep, its trials run in this process. Not to be changed: see ``swept``."""
    path = tmp_path_factory.mktemp("swept") / "home"
    shutil.copytree(small_home, path)
    with pytest.MonkeyPatch.context() as patched:
        homes.run_here(patched)
        return path, ai_engine.tune(homes.AGENT, trials=homes.TRIALS, home=path, seed=0)


@pytest.fixture
def home(small_home: Path, tmp_path: Path) -> Home:
    """A copy of the small home."""
    return Home(shutil.copytree(small_home, tmp_path / "home"))


@pytest.fixture
def swept(swept_home: tuple[Path, TuneResult], tmp_path: Path) -> tuple[Home, TuneResult]:
    """A copy of the home with the finished sweep, and its result."""
    path, result = swept_home
    return Home(shutil.copytree(path, tmp_path / "swept")), result


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Trials of ``tune`` run one after the other in this process; gives the list of those that ran."""
    return homes.run_here(monkeypatch)
