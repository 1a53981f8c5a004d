"""Recording decisions while an agent runs: :class:`LearningPipeline` writes, :class:`DataCollector` reads.

The pipeline also retrains in a process of its own, when a :class:`RetrainSchedule` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envs.lazy import lazily

if TYPE_CHECKING:
    from ai_engine.continuous_learning.collector import DataCollector
    from ai_engine.continuous_learning.pipeline import LearningPipeline
    from ai_engine.continuous_learning.retraining_status import RetrainingStatus
    from ai_engine.continuous_learning.schedule import RetrainSchedule

__all__ = ["DataCollector", "LearningPipeline", "RetrainSchedule", "RetrainingStatus"]

_HOMES = {
    "DataCollector": ".collector",
    "LearningPipeline": ".pipeline",
    "RetrainSchedule": ".schedule",
    "RetrainingStatus": ".retraining_status",
}

__getattr__, __dir__ = lazily(__name__, _HOMES)
