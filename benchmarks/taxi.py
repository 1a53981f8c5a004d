"""Taxi-v3 from the log of a soft controller: what ``tune`` recommends, played greedily.

The controller acts uniformly in 30 % of its decisions and else draws from a softmax of the optimal
values at temperature 2, 4 and 8, by episode in turn; 20,000 decisions with their propensities.

    python -m benchmarks.taxi [--quick] [--json]
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import gymnasium as gym
import numpy as np

import ai_engine
from ai_engine.deploy.registry import Registry
from benchmarks.play import greedy_return
from benchmarks.rows import Row, arguments, publish

DECISIONS = 20_000
LIMIT = 200
TEMPERATURES = (2.0, 4.0, 8.0)
UNIFORM = 0.3


def model() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Next state, reward and termination of every (state, action), int64, float64 and bool (500, 6)."""
    table = gym.make("Taxi-v3").unwrapped.P  # type: ignore[attr-defined]
    cells = [[table[state][action][0] for action in range(6)] for state in range(500)]
    return (
        np.array([[cell[1] for cell in row] for row in cells]),
        np.array([[float(cell[2]) for cell in row] for row in cells]),
        np.array([[bool(cell[3]) for cell in row] for row in cells]),
    )


def optimal_values() -> np.ndarray:
    """Undiscounted optimal action values, float64 (500, 6)."""
    following, rewards, terminated = model()
    values = np.zeros((500, 6))
    for _ in range(LIMIT):
        values = rewards + np.where(terminated, 0.0, values.max(axis=1)[following])
    return values


def write_log(path: Path, seed: int) -> None:
    """The controller's log as JSON Lines."""
    values = optimal_values()
    environment = gym.make("Taxi-v3")
    rng = np.random.default_rng(seed)
    written = episode = 0
    with path.open("w", encoding="utf-8") as file:
        while written < DECISIONS:
            scaled = values / TEMPERATURES[episode % 3]
            soft = np.exp(scaled - scaled.max(axis=1, keepdims=True))
            chances = UNIFORM / 6 + (1 - UNIFORM) * soft / soft.sum(axis=1, keepdims=True)
            state, _ = environment.reset(seed=seed * 100_000 + episode)
            for step in range(LIMIT):
                action = int(rng.choice(6, p=chances[state]))
                following, reward, terminated, truncated, _ = environment.step(action)
                record = {
                    "episode_id": f"e{episode}",
                    "step": step,
                    "observation": int(state),
                    "action": action,
                    "propensity": float(chances[state, action]),
                    "reward": float(reward),
                    "terminated": bool(terminated),
                    "truncated": bool(truncated),
                }
                if terminated or truncated:
                    record["next_observation"] = int(following)
                file.write(json.dumps(record) + "\n")
                written += 1
                state = following
                if terminated or truncated:
                    break
            episode += 1


def main() -> None:
    """Measure."""
    options = arguments(__doc__)
    rows = []
    seeds = range(1 if options.quick else 5)
    returns: dict[bool, list[float]] = {False: [], True: []}
    learning: list[float] = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "taxi.jsonl"
            write_log(log, seed)
            home = Path(folder) / "home"
            ai_engine.import_log("taxi", [log], home=home)
            for refit in (False, True):
                tuned = ai_engine.tune("taxi", trials=8, seed=seed, home=home, refit_all=refit)
                path = Registry(home).path("taxi", tuned.recommended.rpartition("@")[2])
                returns[refit].append(
                    greedy_return(path, "Taxi-v3", 200 if options.quick else 1_000, observe=int, act=int)
                )
            trained = time.monotonic()
            chosen = tuned.recommendation
            ai_engine.train("taxi", algorithm=chosen.algorithm, hyperparameters=chosen.hyperparameters, home=home)
            learning.append(time.monotonic() - trained)
    for refit, least in ((False, 6.5), (True, 7.5)):
        name = "--refit-all" if refit else "recommended"
        reached = sum(value >= least for value in returns[refit])
        needed = 1 if options.quick else 4
        for seed, value in zip(seeds, returns[refit], strict=True):
            rows.append(
                Row(
                    f"{name} seed {seed}",
                    "mean greedy return",
                    "",
                    value,
                    "goal",
                    least,
                    f"at least {least} in {needed} of {len(seeds)} seeds",
                    reached >= needed,
                )
            )
    rows.append(
        Row(
            "learning",
            "slowest training",
            "s",
            max(learning),
            "limit",
            10.0,
            "under 10 s of learning",
            max(learning) < 10,
        )
    )
    publish("taxi", rows, options.json)


if __name__ == "__main__":
    main()
