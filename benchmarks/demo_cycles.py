"""Three demos of the scaling agent in one home, for several seeds: what was promoted, and what it was truly worth.

python -m benchmarks.demo_cycles [--quick] [--json] [--seeds 5]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import ai_engine
from ai_engine.demo_result import AgentDemo
from benchmarks.rows import Row, arguments, publish

CYCLES = 3
AGENTS = ("scaling",)


def cycle_rows(name: str, shown: AgentDemo) -> list[Row]:
    """What one demo promoted and recommended, beside the champion before it."""
    before, recommended, after = shown.reveal[1], shown.reveal[2], shown.reveal[3]
    decision = shown.gate.decision
    never = "never falls by more than the declared margin"
    beside = "shown beside it, may be a bigger step than what could be proven"
    rows = [
        Row(
            name,
            f"{decision}: true value",
            "pool",
            after.pool,
            "before",
            before.pool,
            never,
            after.pool >= before.pool - shown.margin,
        ),
        Row(
            name,
            f"{decision}: true value",
            "unseen",
            after.unseen,
            "before",
            before.unseen,
            never,
            after.unseen >= before.unseen - shown.margin,
        ),
        Row(name, "recommended: true value", "pool", recommended.pool, "before", before.pool, beside, True),
    ]
    if decision == "promote":
        gain = after.unseen - before.unseen
        better = after.pool > before.pool and gain > 0
        goal = "a promoted policy is truly better, on the pool and on the unseen days"
        rows.append(Row(name, "promoted: true gain", "unseen", gain, "none", 0.0, goal, better))
    return rows


def main() -> None:
    """Measure."""
    options = arguments(__doc__, seeds=(int, 5, "number of seeds"))
    count = 1 if options.quick else options.seeds
    cycles = 1 if options.quick else CYCLES
    histories: list[list[AgentDemo]] = []
    rows: list[Row] = []
    limit = 60.0 if options.quick else 180.0
    goal = "3 minutes at most on 2 cores, --quick 60 s"
    for seed in range(count):
        histories.append([])
        with tempfile.TemporaryDirectory() as folder:
            for cycle in range(1, cycles + 1):
                result = ai_engine.demo(home=Path(folder) / "home", seed=seed, quick=options.quick, agents=AGENTS)
                name, shown = f"seed {seed} demo {cycle}", result.agent("scaling")
                histories[-1].append(shown)
                rows += cycle_rows(name, shown)
                rows.append(Row(name, "wall clock", "s", result.seconds, "limit", limit, goal, result.seconds <= limit))
    if not options.quick:
        needed = max(1, round(0.8 * count))
        for metric, found, goal in (
            (
                "first demos that promote",
                sum(history[0].gate.decision == "promote" for history in histories),
                f"a finalist is promoted in at least {needed} of {count} seeds",
            ),
            (
                "value rises over three",
                sum(history[-1].reveal[-1].pool > history[0].reveal[1].pool for history in histories),
                f"the true value rises over three demos in at least {needed} of {count} seeds",
            ),
        ):
            rows.append(Row("all seeds", metric, "", float(found), "needed", float(needed), goal, found >= needed))
    publish("demo_cycles", rows, options.json)


if __name__ == "__main__":
    main()
