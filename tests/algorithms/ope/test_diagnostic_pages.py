"""The blocks of the pages on diagnostics run as they are written."""

from pathlib import Path

import numpy as np
import pytest

from tests.snippets import run, snippets
from tests.worlds import chain, explored

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("page", ["diagnostics.md", "behavior_estimation.md", "estimators/model_rollout.md"])
def test_every_block_runs(page, capsys):
    world = chain(5, horizon=6, vector=True, noise=0.1)
    dataset = world.log(explored(np.tile([0.0, 1.0], (5, 1)), 0.8), 200, 0)
    given = {
        "dataset": dataset,
        "target": np.tile([0.3, 0.7], (len(dataset), 1)),
        "champion": lambda rows, allowed: np.tile([0.5, 0.5], (len(rows), 1)),
        "candidate": lambda rows, allowed: np.tile([0.2, 0.8], (len(rows), 1)),
    }
    blocks = snippets(DOCS / page)
    assert blocks
    for block in blocks:
        given, _ = run(block.statements, given, block.place)
    if page == "estimators/model_rollout.md":
        assert given["bold"].diagnostics["gain"] > 5 * given["bold"].diagnostics["gain_monte_carlo_error"]
    else:
        assert len(capsys.readouterr().out.splitlines()) >= 1
