"""Minari: data sets that its own library wrote, read step by step without it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import h5py
import minari
import numpy as np
import pytest
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer

from envs.errors import DataError
from envs.home import Home
from envs.importing.importer import import_files
from tests.envs.importing.import_reading import assert_goes_on, good, problems, read, records


class NestedEnv(gymnasium.Env[Any, Any]):
    """Draws from its spaces and ends after five steps."""

    observation_space = spaces.Dict(
        {
            "position": spaces.Box(-1, 1, (2,), np.float32),
            "mode": spaces.Discrete(3),
            "grid": spaces.MultiBinary(4),
            "inner": spaces.Tuple((spaces.Box(0, 1, (), np.float64), spaces.Discrete(2))),
            "word": spaces.Text(5, min_length=1),
        }
    )
    action_space = spaces.Dict({"turn": spaces.Discrete(3), "push": spaces.Box(-1, 1, (2,), np.float32)})

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.count = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.count += 1
        return self.observation_space.sample(), float(self.count), self.count == 5, False, {}


def played(env: gymnasium.Env[Any, Any], seed: int) -> EpisodeBuffer:
    """One episode of random actions, as Minari buffers it (its collector does, with the help of jax)."""
    observation, _ = env.reset(seed=seed)
    env.action_space.seed(seed)
    seen, taken, rewards, ends, cuts = [observation], [], [], [], []
    while not (ends and (ends[-1] or cuts[-1])):
        taken.append(env.action_space.sample())
        observation, reward, ended, cut, _ = env.step(taken[-1])
        seen.append(observation)
        rewards.append(reward)
        ends.append(ended)
        cuts.append(cut)
    return EpisodeBuffer(None, seed, None, stacked(seen), stacked(taken), rewards, ends, cuts)


def stacked(entries: list[Any]) -> Any:
    """One list for each part of a space."""
    if isinstance(entries[0], dict):
        return {name: stacked([entry[name] for entry in entries]) for name in entries[0]}
    if isinstance(entries[0], tuple):
        return tuple(stacked(list(parts)) for parts in zip(*entries, strict=True))
    return entries


def written(env: gymnasium.Env[Any, Any], episodes: int, name: str) -> Any:
    """A data set in Minari's place."""
    buffers = [played(env, seed) for seed in range(episodes)]
    spaces_of = {"observation_space": env.observation_space, "action_space": env.action_space}
    with warnings.catch_warnings(action="ignore"):
        return minari.create_dataset_from_buffers(name, buffers, env if env.spec else None, **spaces_of)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Minari's place."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def cartpole(root: Path) -> Any:
    return written(gymnasium.make("CartPole-v1", max_episode_steps=15), 4, "cartpole/test-v0")


def test_every_step_of_cartpole(cartpole: Any, tmp_path: Path) -> None:
    contents = good(read(tmp_path / "cartpole/test-v0", "minari"))
    decisions = iter(records(contents))
    lengths = set()
    for episode in cartpole.iterate_episodes():
        lengths.add(len(episode))
        for step in range(len(episode)):
            decision = next(decisions)
            assert decision.episode_id == f"cartpole/test-v0/{episode.id}" and decision.step == step
            assert decision.observation == episode.observations[step].astype(float).tolist()
            assert decision.action == episode.actions[step] and type(decision.action) is int
            assert decision.reward == episode.rewards[step]
            assert decision.terminated == bool(episode.terminations[step])
            assert decision.truncated == bool(episode.truncations[step])
            last = step == len(episode) - 1
            assert decision.next_observation == (episode.observations[-1].astype(float).tolist() if last else None)
    assert next(decisions, None) is None and len(lengths) > 1
    assert any(decision.truncated for decision in records(contents))


def test_every_step_of_nested_spaces() -> None:
    data = written(NestedEnv(), 2, "nested-v0")
    decisions = iter(records(good(read("nested-v0", "minari"))))  # by its id
    for episode in data.iterate_episodes():
        for step in range(len(episode)):
            decision = next(decisions)
            seen = episode.observations
            assert decision.observation == {
                "position": {str(place): float(item) for place, item in enumerate(seen["position"][step])},
                "mode": int(seen["mode"][step]),
                "grid": {str(place): int(item) for place, item in enumerate(seen["grid"][step])},
                "inner": {"0": float(seen["inner"][0][step]), "1": int(seen["inner"][1][step])},
                "word": seen["word"][step],
            }
            turn, push = float(episode.actions["turn"][step]), episode.actions["push"][step].astype(float).tolist()
            assert decision.action == {
                "turn": turn,
                "push.0": push[0],
                "push.1": push[1],
            }
    assert next(decisions, None) is None


def test_goes_on(cartpole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_goes_on(tmp_path / "cartpole/test-v0", "minari", monkeypatch)


def test_through_the_importer(cartpole: Any, tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    place = tmp_path / "cartpole/test-v0"
    report = import_files(home, "cartpole", [place], format_name="minari")
    assert report.added == cartpole.total_steps
    assert import_files(home, "cartpole", [place], format_name="minari").duplicates == report.added
    declared = home.specification("cartpole")
    assert declared.actions == (0, 1) and declared.observation.size == 4 and declared.horizon <= 15


def test_a_data_set_that_has_grown_adds_what_is_new(cartpole: Any, tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    place = tmp_path / "cartpole/test-v0"
    first = import_files(home, "cartpole", [place], format_name="minari").added
    cartpole.update_dataset_from_buffer([played(gymnasium.make("CartPole-v1"), 9)])
    again = import_files(home, "cartpole", [place], format_name="minari")
    assert again.duplicates == first and again.added == minari.MinariDataset(place / "data").total_steps - first > 0


def test_a_bad_episode_is_named_and_the_others_kept(cartpole: Any, tmp_path: Path) -> None:
    place = tmp_path / "cartpole/test-v0"
    whole = len(read(place, "minari"))
    with h5py.File(place / "data/main_data.hdf5", "a") as file:
        steps = len(file["episode_1/rewards"])
        del file["episode_1/actions"]
        file["episode_1/actions"] = np.zeros(steps + 3)
        del file["episode_3"]
    rows = read(place, "minari")
    assert "episode 1 cannot be read (has" in problems(rows)[0]
    assert problems(rows)[-1].endswith("metadata.json names 4 episodes, but there are 3")
    kept = [row.content["episode_id"][-1] for row in rows if row.rejected is None]
    assert set(kept) == {"0", "2"} and len(kept) < whole


def test_what_is_not_read_is_refused(cartpole: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing/here: is no Minari data set"):
        read("nothing/here", "minari")
    with pytest.raises(DataError, match="is no Minari data set"):
        read("../cartpole", "minari")
    path = tmp_path / "cartpole/test-v0/data/metadata.json"
    metadata = json.loads(path.read_text())
    path.write_text(json.dumps({**metadata, "data_format": "arrow"}))
    with pytest.raises(DataError, match=r"is kept as 'arrow', which is not read; create .* data_format=\"hdf5\""):
        read(tmp_path / "cartpole/test-v0", "minari")
    picture = {"type": "Dict", "subspaces": {"eye": {"type": "Box", "dtype": "uint8", "shape": [8, 8, 3]}}}
    path.write_text(json.dumps({**metadata, "observation_space": json.dumps(picture)}))
    with pytest.raises(DataError, match="its observations are JPEG pictures"):
        read(tmp_path / "cartpole/test-v0", "minari")
    path.write_text("{")
    with pytest.raises(DataError, match=r"metadata\.json cannot be read"):
        read(tmp_path / "cartpole/test-v0", "minari")
