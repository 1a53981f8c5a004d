"""Gymnasium environments made of a decision log. Importing this package registers them.

``gymnasium.make("retrainer/EmpiricalMDP-v0", dataset=...)`` and ``gymnasium.make_vec(...)`` then work;
``gymnasium.make("envs.offline:retrainer/EmpiricalMDP-v0", ...)`` imports and registers by itself.
"""

from __future__ import annotations

import gymnasium

ENVIRONMENTS = {
    "retrainer/LoggedReplay-v0": (
        "envs.offline.logged_replay:LoggedReplayEnv",
        "envs.offline.vector_logged_replay:LoggedReplayVectorEnv",
    ),
    "retrainer/EmpiricalMDP-v0": (
        "envs.offline.empirical_mdp:EmpiricalMDPEnv",
        "envs.offline.vector_empirical_mdp:EmpiricalMDPVectorEnv",
    ),
    "retrainer/NearestNeighbourMDP-v0": (
        "envs.offline.nearest_neighbour_mdp:NearestNeighbourMDPEnv",
        "envs.offline.vector_nearest_neighbour_mdp:NearestNeighbourMDPVectorEnv",
    ),
    "retrainer/LearnedModel-v0": (
        "envs.offline.learned_model_env:LearnedModelEnv",
        "envs.offline.vector_learned_model_env:LearnedModelVectorEnv",
    ),
}


def register() -> None:
    """Register every offline environment with Gymnasium; calling it again changes nothing."""
    for identifier, (scalar, vector) in ENVIRONMENTS.items():
        if identifier not in gymnasium.registry:
            gymnasium.register(identifier, entry_point=scalar, vector_entry_point=vector)


register()
