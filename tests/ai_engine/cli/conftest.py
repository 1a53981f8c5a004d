from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import ai_engine
import ai_engine.cli.diagnosis
import ai_engine.cli.ledger
from ai_engine.cli.application import retrainer
from tests.ai_engine.cli.fakes import PUBLIC, Calls, Run


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    made = Calls()
    for name in PUBLIC:
        monkeypatch.setattr(ai_engine, name, made.fake(name), raising=False)
    for module, names in ((ai_engine.cli.ledger, ("history", "verify")), (ai_engine.cli.diagnosis, ("doctor",))):
        for name in names:
            monkeypatch.setattr(module, name, made.fake(name))
    return made


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command line in an empty folder, no home named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETRAINER_HOME", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(retrainer, list(arguments))

    return invoke
