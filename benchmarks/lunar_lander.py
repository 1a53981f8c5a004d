"""LunarLander-v3 from the log of a hand-written controller with 10, 20 and 30 % uniform noise in turn.

More than half of the log's episodes crash. The horizon forbids any proof from the log; ``recommended``,
played greedily, is what the models' cautious word is worth.

    python -m benchmarks.lunar_lander [--quick] [--json]
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

ENVIRONMENT = "LunarLander-v3"
DECISIONS = 40_000
NOISE = (0.1, 0.2, 0.3)
ACTIONS = ("coast", "fire_left", "fire_main", "fire_right")


def controller(state: np.ndarray) -> int:
    """Lean against the drift, and brake what is sinking faster than the height above a cone allows."""
    x, y, drift, climb, angle, spin, left_leg, right_leg = state
    grounded = bool(left_leg or right_leg)
    lean = np.clip(0.5 * x + drift, -0.4, 0.4)
    turn = 0.0 if grounded else 0.5 * (lean - angle) - spin
    thrust = -0.5 * climb + (0.0 if grounded else 0.5 * (0.55 * abs(x) - y))
    if thrust > max(abs(turn), 0.05):
        return ACTIONS.index("fire_main")
    if abs(turn) <= 0.05:
        return ACTIONS.index("coast")
    return ACTIONS.index("fire_left" if turn > 0 else "fire_right")


def write_log(path: Path, seed: int, decisions: int) -> list[float]:
    """The controller's log as JSON Lines; the return of each of its episodes."""
    environment = gym.make(ENVIRONMENT)
    rng = np.random.default_rng(seed)
    returns: list[float] = []
    written = 0
    with path.open("w", encoding="utf-8") as file:
        while written < decisions:
            episode, total = len(returns), 0.0
            noise = NOISE[episode % len(NOISE)]
            state, _ = environment.reset(seed=seed * 100_000 + episode)
            done, step = False, 0
            while not done:
                intended = controller(state)
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
    options = arguments(__doc__)
    seeds = range(1 if options.quick else 3)
    rows = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            log, home = Path(folder) / "lunar.jsonl", Path(folder) / "home"
            logged = write_log(log, seed, DECISIONS // 2 if options.quick else DECISIONS)
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
                f"seed {seed}",
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
