"""Recording decisions while an agent runs: :class:`LearningPipeline` writes, :class:`DataCollector` reads.

The pipeline also retrains in a process of its own, when a :class:`RetrainSchedule` says.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ai_engine.continuous_learning.collector import DataCollector
    from ai_engine.continuous_learning.pipeline import LearningPipeline
    from ai_engine.continuous_learning.retraining_status import RetrainingStatus
    from ai_engine.continuous_learning.schedule import RetrainSchedule

__all__ = ["DataCollector", "LearningPipeline", "RetrainSchedule", "RetrainingStatus"]

_EXPORTS = {
    "DataCollector": "ai_engine.continuous_learning.collector",
    "LearningPipeline": "ai_engine.continuous_learning.pipeline",
    "RetrainSchedule": "ai_engine.continuous_learning.schedule",
    "RetrainingStatus": "ai_engine.continuous_learning.retraining_status",
}


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)
