"""What the page on the decision log shows runs as it stands, and does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from ai_engine.continuous_learning import LearningPipeline
from envs.home import Home
from envs.log import place
from envs.log.compaction import compact
from tests.snippets import run, snippets

PAGE = Path(__file__).parents[3] / "docs" / "decision_log.md"


def test_the_blocks_run_in_their_order(tmp_path: Path) -> None:
    home = Home.create(tmp_path)
    blocks = snippets(PAGE)
    assert len(blocks) == 3
    given, values = run(blocks[0].statements, {"home": home}, blocks[0].place)
    assert values[0] == 1 and values[1]["reward"].tolist() == [-2.5]
    with LearningPipeline(home) as pipeline:
        pipeline.record_action("scaling", "up", {"load": 0.5}, reward=-0.5, timestamp="2026-01-01T00:00:00Z")
    compact(home)
    _, rows = run(blocks[1].statements, given, blocks[1].place)
    assert sorted(row[1:] for row in rows[0]) == [("up", 1, -2.5, 0.9), ("up", 1, -0.5, 0.5)]
    _, frames = run(blocks[2].statements, given, blocks[2].place)
    assert frames[0].rows() == [("up", 2, -1.5, pytest.approx(0.7))]


def test_the_figures_are_those_of_the_code() -> None:
    from ai_engine.continuous_learning import sealing, writer

    text = PAGE.read_text()
    assert f"seal_rows = {place.SEAL_ROWS}" in text and f"{place.SEAL_ROWS + sealing.KEPT_BACK:,} events" in text
    assert writer.INTERVAL == 0.2 and "0.2 by default" in text
    assert writer.TIMEOUT == 5.0 and "(5 by default)" in text and writer.CAPACITY == 10_000
