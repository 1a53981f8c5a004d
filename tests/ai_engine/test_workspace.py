"""What a process has read of a log it does not read again, unless it is another by now."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import ai_engine
from ai_engine.continuous_learning import LearningPipeline
from envs.home import Home
from tests.envs.samples import specification


def test_a_log_whose_window_has_closed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home.create(tmp_path)
    home.declare(specification(maturation=600.0))
    moment = datetime.now(UTC) - timedelta(seconds=30)
    with LearningPipeline(home) as pipeline:
        pipeline.record_action("scaling", "up", {"load": 0.5, "queue": {"size": 1.0}}, reward=1.0, timestamp=moment)
    waiting = ai_engine.inspect("scaling", home=home).report
    assert (waiting.immature_episodes, waiting.episodes) == (1, 0)
    assert ai_engine.inspect("scaling", home=home).report is waiting
    later = time.time() + 700.0
    monkeypatch.setattr(time, "time", lambda: later)
    mature = ai_engine.inspect("scaling", home=home).report
    assert (mature.immature_episodes, mature.episodes) == (0, 1)
    assert ai_engine.inspect("scaling", home=home).report is mature
