"""Retraining: experience replay, trainers to call by hand, and :class:`ModelRetrainer` over all agents of a home."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envs.lazy import lazily

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

_HOMES = {
    "DQNTrainer": ".dqn_trainer",
    "ExperienceReplayBuffer": ".experience_replay",
    "ModelRetrainer": ".model_retrainer",
    "OptimizationTrainer": ".optimization_trainer",
    "PPOTrainer": ".ppo_trainer",
    "QLearningTrainer": ".q_learning",
}

__getattr__, __dir__ = lazily(__name__, _HOMES)
