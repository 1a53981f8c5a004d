"""Looking into an MLflow store with MLflow's own client, beside the code under test."""

from __future__ import annotations

import importlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from ai_engine.tracking.settings import embedded_uri
from envs.home import Home
from tests import homes


def give_store(home: Home, empty_store: Path) -> None:
    """Give a home an embedded store in which there is nothing."""
    (home.path / "mlflow").mkdir()
    shutil.copy(empty_store, home.path / "mlflow" / "mlflow.db")


def client_of(home: Home) -> Any:
    return importlib.import_module("mlflow").MlflowClient(embedded_uri(home))


def runs_of(home: Home, agent: str = homes.AGENT) -> dict[str, Any]:
    """MLflow's runs of an agent by our key: ``run`` for the sweep."""
    client = client_of(home)
    experiment = client.get_experiment_by_name(agent)
    found = client.search_runs([experiment.experiment_id])
    by_key = {run.data.tags["retrainer.key"]: run for run in found}
    assert len(by_key) == len(found), "nothing is there twice"
    return by_key


def champion_of(home: Home, agent: str = homes.AGENT) -> str:
    """The version of ours that the alias names."""
    return str(client_of(home).get_model_version_by_alias(agent, "champion").tags["retrainer.version"])


def content(home: Home) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the embedded store, by table."""
    with sqlite3.connect(home.path / "mlflow" / "mlflow.db") as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(database.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in tables}


def artefacts(home: Home) -> dict[str, bytes]:
    """Every stored file by MLflow's run and name."""
    root = home.path / "mlflow" / "artifacts"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
