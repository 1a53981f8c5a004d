from __future__ import annotations

from pathlib import Path

import pytest

from ai_engine.tracking.mlflow_client import mlflow_client
from ai_engine.tracking.settings import TrackingSettings
from ai_engine.tune_result import TuneResult
from envs.home import Home
from tests.ai_engine.tracking.stores import give_store


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RETRAINER_TRACK", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of an embedded store in which there is nothing; making its tables takes seconds."""
    home = Home.create(tmp_path_factory.mktemp("store") / "home")
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("MLFLOW_TRACKING_URI", raising=False)
        with mlflow_client(TrackingSettings.of(home, ["mlflow"])) as client:
            client.search_experiments()
    return home.path / "mlflow" / "mlflow.db"


@pytest.fixture
def stored(swept: tuple[Home, TuneResult], empty_store: Path) -> tuple[Home, TuneResult]:
    """A copy of the home with the finished sweep, with an embedded store that knows nothing of it."""
    home, result = swept
    give_store(home, empty_store)
    return home, result
