"""Write ``minari/``, a data set of three short episodes, with Minari's own library.

Run in the project's environment: ``python tests/data/importing/make_minari.py``. The numbers are drawn here.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

PLACE = Path(__file__).parent / "minari"


def main() -> None:
    """Three episodes of a ``Dict`` space: ended, cut, ended."""
    random = np.random.default_rng(0)
    space = spaces.Dict({"position": spaces.Box(-9, 9, (2,), np.float32), "mode": spaces.Discrete(3)})
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    storage = MinariStorage.new(PLACE / "data", space, spaces.Discrete(4), jpeg_encoding=False)
    storage.update_metadata({"dataset_id": "kept-v0", "minari_version": "0.5.4"})
    for length in (3, 5, 4):
        position = random.normal(size=(length + 1, 2)).astype(np.float32)
        last = [False] * (length - 1)
        storage.update_episodes(
            [
                EpisodeBuffer(
                    observations={"position": position, "mode": random.integers(0, 3, length + 1)},
                    actions=random.integers(0, 4, length),
                    rewards=random.normal(size=length).tolist(),
                    terminations=[*last, length != 5],
                    truncations=[*last, length == 5],
                )
            ]
        )


if __name__ == "__main__":
    main()
