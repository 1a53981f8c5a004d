"""Write ``rllib_episodes/`` and ``rllib_columns/`` with RLlib's own recorder.

Run: ``pip install ray[rllib]==2.60.0 torch msgpack-numpy gymnasium`` in an environment of its own, then
``python make_rllib.py``. RLlib packs episodes with msgpack-numpy, which this project reads and does not install.
The second round's files hold the first round's rows once more: RLlib never empties its buffer unless
``output_max_rows_per_file`` is set.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import ray
from ray.rllib.algorithms.ppo import PPOConfig

HERE = Path(__file__).parent


def record(name: str, *, episodes: bool) -> None:
    """Two sampling rounds of CartPole by one runner, as Parquet files beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        config = (
            PPOConfig()
            .environment("CartPole-v1")
            .env_runners(num_env_runners=0, batch_mode="complete_episodes" if episodes else "truncate_episodes")
            .training(train_batch_size=60, minibatch_size=60, num_epochs=1)
            .offline_data(
                output=folder,
                output_write_episodes=episodes,
                output_compress_columns=[],
                output_write_method_kwargs={"min_rows_per_file": 1000},
            )
            .debugging(seed=7)
        )
        algorithm = config.build_algo()
        runner = algorithm.env_runner
        for _ in range(2):
            runner.sample(num_episodes=3) if episodes else runner.sample(num_timesteps=60)
        algorithm.stop()
        shutil.rmtree(HERE / name, ignore_errors=True)
        for file in sorted(Path(folder).rglob("*.parquet")):
            target = HERE / name / file.parent.name
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target / "part-0.parquet")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        ray.init(num_cpus=1, include_dashboard=False, _temp_dir=place, configure_logging=False)
        record("rllib_episodes", episodes=True)
        record("rllib_columns", episodes=False)
        ray.shutdown()
