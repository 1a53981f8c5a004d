"""Homes to compare in; nothing in them is changed by a comparison but the first ledger entry."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import ai_engine
from ai_engine.comparing import CompareResult
from ai_engine.workspace import open_workspace
from algorithms.policy import Policy, ProbabilityTable, Provenance
from envs.encoding import IntegerStates
from envs.home import Home
from tests import homes
from tests.ai_engine.comparing import routing

AGENT = homes.AGENT


@pytest.fixture(scope="session")
def routing_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The routing agent's log."""
    return routing.make_home(tmp_path_factory.mktemp("routing") / "home")


@pytest.fixture(scope="session")
def compared(routing_home: Home) -> CompareResult:
    """The two changes beside the rule."""
    return ai_engine.compare(routing.database_only, f"{routing.MODULE}:under_load", on=routing.AGENT, home=routing_home)


def towards(champion: Policy, rows: np.ndarray, table: np.ndarray, step: float, **provenance: object) -> Policy:
    """A step from the champion towards a table of probabilities by state."""
    encoder = IntegerStates.fit(rows, homes.INTEGER)
    component = ProbabilityTable(encoder, table, np.array([1.0, 0.0, 0.0]))
    return champion.with_layer(component, step, provenance=Provenance(parent="0", **provenance))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def versions_home(small_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The small agent with four versions: a good step, a far one, a harmful step, and one that select taught."""
    home = Home(shutil.copytree(small_home, tmp_path_factory.mktemp("versions") / "home"))
    workspace = open_workspace(AGENT, home)
    champion, rows = workspace.champion(), workspace.dataset.observations[workspace.dataset.rows]
    right = np.eye(3)[[homes.right(state) for state in range(homes.STATES)]]
    down = np.tile([1.0, 0.0, 0.0], (homes.STATES, 1))
    common = {"algorithm": "tabular_q", "note": ""}
    short, wrong = {"cells": 6, "step": 0.2}, np.roll(right, 1, axis=1)
    for policy in (
        towards(champion, rows, right, 0.2, hyperparameters=short, **common),
        towards(champion, rows, down, 1.0, hyperparameters={"cells": 6, "step": 1.0}, **common),
        towards(champion, rows, wrong, 0.2, hyperparameters={**short, "lr": 1}, **common),
        towards(champion, rows, right, 0.2, algorithm="tabular_q", note="trained on train and select after its choice"),
    ):
        workspace.registry.add_version(policy)
    return home
