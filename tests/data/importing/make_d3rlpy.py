"""Write ``d3rlpy_*.h5`` with d3rlpy's own ``ReplayBuffer.dump``, and what is in them as ``d3rlpy_*.json``.

Run: ``pip install d3rlpy==2.8.1`` in an environment of its own, then ``python make_d3rlpy.py``. The numbers are
drawn here, so the files carry no licence but the project's.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from d3rlpy.dataset import MDPDataset

HERE = Path(__file__).parent
T, TERMINAL = 12, (4, 11)


def written(name: str, observations: object, actions: np.ndarray, **options: object) -> None:
    """One data set of three episodes: ended, cut, ended."""
    random = np.random.default_rng(1)
    rewards = random.normal(size=(T, 1)).astype(np.float32)
    terminals = np.zeros(T)
    terminals[list(TERMINAL)] = 1.0
    timeouts = np.zeros(T)
    timeouts[8] = 1.0
    data = MDPDataset(observations, actions, rewards, terminals, timeouts, **options)
    with open(HERE / f"{name}.h5", "w+b") as file:
        data.dump(file)
    parts = observations if isinstance(observations, tuple) else (observations,)
    content = {
        "observations": [part.tolist() for part in parts],
        "actions": actions.tolist(),
        "rewards": rewards[:, 0].tolist(),
        "ends": {4: "terminated", 8: "truncated", 11: "terminated"},
    }
    (HERE / f"{name}.json").write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    random = np.random.default_rng(0)
    vector = random.normal(size=(T, 3)).astype(np.float32)
    written("d3rlpy_discrete", vector, random.integers(0, 4, size=(T, 1)))
    written("d3rlpy_continuous", vector, random.normal(size=(T, 2)).astype(np.float32))
    second = random.normal(size=(T, 2)).astype(np.float32)
    written("d3rlpy_tuple", (vector, second), random.integers(0, 4, size=(T, 1)))
