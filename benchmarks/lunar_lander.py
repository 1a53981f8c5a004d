"""LunarLander-v3 from the log of Gymnasium's own heuristic, a share of whose actions is replaced at random.

At 30 % noise almost half of the episodes crash and the upper quartile of the returns is small; at 10 and
20 % it is as good as the undisturbed heuristic itself, so that the same goal asks for a policy better than
the one that was logged. The horizon forbids any proof from the log; ``recommended``, played greedily, is
what the models' cautious word is worth.

    python -m benchmarks.lunar_lander [--quick] [--json] [--noise 0.3]
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import gymnasium as gym
import numpy as np
from gymnasium.envs.box2d.lunar_lander import heuristic

import ai_engine
from ai_engine.deploy.registry import Registry
from benchmarks.play import greedy_return
from benchmarks.rows import Row, arguments, publish

ENVIRONMENT = "LunarLander-v3"
DECISIONS = 40_000
CASES = (*((0.3, seed) for seed in range(3)), (0.2, 0), (0.1, 0))
"""Noise and seed of each log."""
ACTIONS = ("coast", "fire_left", "fire_main", "fire_right")


def write_log(path: Path, noise: float, seed: int, decisions: int) -> list[float]:
    """The heuristic's log as JSON Lines; the return of each of its episodes."""
    environment = gym.make(ENVIRONMENT)
    rng = np.random.default_rng(seed)
    returns: list[float] = []
    written = 0
    with path.open("w", encoding="utf-8") as file:
        while written < decisions:
            episode, total = len(returns), 0.0
            state, _ = environment.reset(seed=seed * 100_000 + episode)
            done, step = False, 0
            while not done:
                intended = heuristic(environment.unwrapped, state)
                action = int(rng.integers(len(ACTIONS))) if rng.random() < noise else intended
                following, reward, terminated, truncated, _ = environment.step(action)
                done = terminated or truncated
                record = {
                    "episode_id": f"e{episode}",
                    "step": step,
                    "observation": [float(value) for value in state],
                    "action": ACTIONS[action],
                    "propensity": noise / len(ACTIONS) + (1 - noise) * (action == intended),
                    "reward": float(reward),
                    "terminated": bool(terminated),
                    "truncated": bool(truncated),
                }
                if done:
                    record["next_observation"] = [float(value) for value in following]
                file.write(json.dumps(record) + "\n")
                state, step, written, total = following, step + 1, written + 1, total + float(reward)
            returns.append(total)
    return returns


def main() -> None:
    """Measure."""
    options = arguments(__doc__, noise=(float, 0.0, "only the logs of this noise; 0 for all"))
    rows = []
    cases = [case for case in CASES if options.noise in (0.0, case[0])]
    for noise, seed in cases[:1] if options.quick else cases:
        with tempfile.TemporaryDirectory() as folder:
            log, home = Path(folder) / "lunar.jsonl", Path(folder) / "home"
            logged = write_log(log, noise, seed, DECISIONS // 2 if options.quick else DECISIONS)
            ai_engine.import_log("lunar-lander", [log], home=home)
            tuned = ai_engine.tune("lunar-lander", trials=3 if options.quick else 8, seed=seed, home=home)
            path = Registry(home).path("lunar-lander", tuned.recommended.rpartition("@")[2])
            found = greedy_return(
                path,
                ENVIRONMENT,
                5 if options.quick else 100,
                observe=lambda state: state.tolist(),
                act=ACTIONS.index,
            )
        quartile = float(np.quantile(logged, 0.75))
        rows.append(
            Row(
                f"noise {noise:.0%}, seed {seed}",
                "mean greedy return",
                "",
                found,
                "upper quartile of the log",
                quartile,
                "recommended, played greedily, at least the upper quartile of the logged returns",
                found >= quartile,
            )
        )
    publish("lunar_lander", rows, options.json)


if __name__ == "__main__":
    main()
