"""Retraining: experience replay, trainers to call by hand, and :class:`ModelRetrainer` over all agents of a home."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ai_engine.retrain.dqn_trainer import DQNTrainer
    from ai_engine.retrain.experience_replay import ExperienceReplayBuffer
    from ai_engine.retrain.model_retrainer import ModelRetrainer
    from ai_engine.retrain.optimization_trainer import OptimizationTrainer
    from ai_engine.retrain.ppo_trainer import PPOTrainer
    from ai_engine.retrain.q_learning import QLearningTrainer

__all__ = [
    "DQNTrainer",
    "ExperienceReplayBuffer",
    "ModelRetrainer",
    "OptimizationTrainer",
    "PPOTrainer",
    "QLearningTrainer",
]

_EXPORTS = {
    "DQNTrainer": "ai_engine.retrain.dqn_trainer",
    "ExperienceReplayBuffer": "ai_engine.retrain.experience_replay",
    "ModelRetrainer": "ai_engine.retrain.model_retrainer",
    "OptimizationTrainer": "ai_engine.retrain.optimization_trainer",
    "PPOTrainer": "ai_engine.retrain.ppo_trainer",
    "QLearningTrainer": "ai_engine.retrain.q_learning",
}


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)
