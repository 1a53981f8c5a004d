"""CartPole-v1 from the log of a hand-written controller with 30, 60 and 90 % uniform noise in turn.

A 500-step horizon multiplies 500 ratios: the card says grade C, nothing is promoted automatically,
and ``recommended``, played greedily, is what the models' cautious word is worth. Variants are of DQN alone: with
all algorithms a clone of the controller, taken greedily, is recommended, which plays 500 in 5 of 5 seeds and learned
no more than what the log shows. PPO needs an environment made of the log, which over 500 steps is not tried by default.

    python -m benchmarks.cartpole [--quick] [--json]
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import gymnasium as gym
import numpy as np

import ai_engine
from ai_engine.deploy.registry import Registry
from benchmarks.play import greedy_return
from benchmarks.rows import Row, arguments, publish

DECISIONS = 20_000
NOISE = (0.3, 0.6, 0.9)
ACTIONS = ("left", "right")
ALGORITHMS = ("dqn",)
GOAL = 475.0


def controller(state: np.ndarray) -> int:
    """Push towards where the pole is falling."""
    position, velocity, angle, angular_velocity = state
    return int(angle + 0.5 * angular_velocity + 0.05 * position + 0.1 * velocity > 0)


def write_log(path: Path, seed: int) -> None:
    """The controller's log as JSON Lines."""
    environment = gym.make("CartPole-v1")
    rng = np.random.default_rng(seed)
    written = episode = 0
    with path.open("w", encoding="utf-8") as file:
        while written < DECISIONS:
            noise = NOISE[episode % 3]
            state, _ = environment.reset(seed=seed * 100_000 + episode)
            done, step = False, 0
            while not done:
                intended = controller(state)
                action = int(rng.integers(2)) if rng.random() < noise else intended
                following, reward, terminated, truncated, _ = environment.step(action)
                done = terminated or truncated
                record = {
                    "episode_id": f"e{episode}",
                    "step": step,
                    "observation": [float(value) for value in state],
                    "action": ACTIONS[action],
                    "propensity": noise / 2 + (1 - noise) * (action == intended),
                    "reward": float(reward),
                    "terminated": bool(terminated),
                    "truncated": bool(truncated),
                }
                if done:
                    record["next_observation"] = [float(value) for value in following]
                file.write(json.dumps(record) + "\n")
                state, step, written = following, step + 1, written + 1
            episode += 1


def main() -> None:
    """Measure."""
    options = arguments(__doc__)
    seeds = range(1 if options.quick else 5)
    needed = 1 if options.quick else 4
    returns, grades, decisions, overridden, algorithms = [], [], [], [], []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            log, home = Path(folder) / "cartpole.jsonl", Path(folder) / "home"
            write_log(log, seed)
            ai_engine.import_log("cartpole", [log], home=home)
            tuned = ai_engine.tune(
                "cartpole", trials=4 if options.quick else 8, seed=seed, algorithms=ALGORITHMS, home=home
            )
            grades.append(tuned.grade)
            algorithms.append(tuned.recommendation.algorithm)
            decisions.append(ai_engine.gate("cartpole", home=home).decision)
            path = Registry(home).path("cartpole", tuned.recommended.rpartition("@")[2])
            returns.append(
                greedy_return(
                    path,
                    "CartPole-v1",
                    5 if options.quick else 100,
                    observe=lambda state: state.tolist(),
                    act=ACTIONS.index,
                )
            )
            ai_engine.promote(tuned.recommended, home=home, override=True, reason="shown in the environment")
            overridden.append(Registry(home).champion("cartpole") == tuned.recommended.rpartition("@")[2])
    reached = sum(value >= GOAL for value in returns)
    goal = f"at least {GOAL:.0f} in {needed} of {len(seeds)} seeds, with DQN or PPO"
    rows = [
        Row(f"seed {seed}, {name}", "mean greedy return", "", value, "goal", GOAL, goal, reached >= needed)
        for seed, name, value in zip(seeds, algorithms, returns, strict=True)
    ]
    count = float(len(returns))
    for metric, found, goal in (
        ("logs of grade C", grades.count("C"), "a 500-step horizon is grade C"),
        ("gates that promoted nothing", sum(d != "promote" for d in decisions), "nothing is promoted automatically"),
        ("overrides that took effect", sum(overridden), "a person may promote"),
    ):
        rows.append(Row("all seeds", metric, "", float(found), "seeds", count, goal, found == count))
    publish("cartpole", rows, options.json)


if __name__ == "__main__":
    main()
