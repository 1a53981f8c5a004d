"""Recording decisions while an agent runs: :class:`LearningPipeline` writes, :class:`DataCollector` reads."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ai_engine.continuous_learning.collector import DataCollector
    from ai_engine.continuous_learning.pipeline import LearningPipeline

__all__ = ["DataCollector", "LearningPipeline"]

_EXPORTS = {
    "DataCollector": "ai_engine.continuous_learning.collector",
    "LearningPipeline": "ai_engine.continuous_learning.pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)
