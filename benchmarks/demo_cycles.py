"""Three demos in one home, for several seeds: what was promoted, and what it was truly worth.

python -m benchmarks.demo_cycles [--quick] [--json] [--seeds 5]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import ai_engine
from ai_engine.demonstration import DemoResult
from benchmarks.rows import Row, arguments, publish

CYCLES = 3


def main() -> None:
    """Measure."""
    options = arguments(__doc__, seeds=(int, 5, "number of seeds"))
    count = 1 if options.quick else options.seeds
    cycles = 1 if options.quick else CYCLES
    histories: list[list[DemoResult]] = []
    for seed in range(count):
        with tempfile.TemporaryDirectory() as home:
            histories.append(
                [ai_engine.demo(home=Path(home) / "home", seed=seed, quick=options.quick) for _ in range(cycles)]
            )
    needed = max(1, round(0.8 * count))
    rows: list[Row] = []
    promoted = [history[0].gate.decision == "promote" for history in histories]
    rising = [history[-1].reveal[-1].pool > history[0].reveal[1].pool for history in histories]
    for seed, history in enumerate(histories):
        for cycle, result in enumerate(history, start=1):
            before, recommended, after = result.reveal[1], result.reveal[2], result.reveal[3]
            name = f"seed {seed} demo {cycle}"
            rows.append(
                Row(
                    name,
                    f"{result.gate.decision}: true value",
                    "pool",
                    after.pool,
                    "before",
                    before.pool,
                    "never falls by more than the declared margin",
                    after.pool >= before.pool - result.margin,
                )
            )
            rows.append(
                Row(
                    name,
                    f"{result.gate.decision}: true value",
                    "unseen",
                    after.unseen,
                    "before",
                    before.unseen,
                    "never falls by more than the declared margin",
                    after.unseen >= before.unseen - result.margin,
                )
            )
            rows.append(
                Row(
                    name,
                    "recommended: true value",
                    "pool",
                    recommended.pool,
                    "before",
                    before.pool,
                    "shown beside it, may be a bigger step than what could be proven",
                    True,
                )
            )
            if result.gate.decision == "promote":
                better = after.pool > before.pool and after.unseen > before.unseen
                rows.append(
                    Row(
                        name,
                        "promoted: true gain",
                        "unseen",
                        after.unseen - before.unseen,
                        "none",
                        0.0,
                        "a promoted policy is truly better, on the pool and on the unseen days",
                        better,
                    )
                )
            rows.append(
                Row(
                    name,
                    "wall clock",
                    "s",
                    result.seconds,
                    "limit",
                    60.0 if options.quick else 180.0,
                    "3 minutes at most on 2 cores, --quick 60 s",
                    result.seconds <= (60 if options.quick else 180),
                )
            )
    if not options.quick:
        rows.append(
            Row(
                "all seeds",
                "first demos that promote",
                "",
                float(sum(promoted)),
                "needed",
                float(needed),
                f"a finalist is promoted in at least {needed} of {count} seeds",
                sum(promoted) >= needed,
            )
        )
        rows.append(
            Row(
                "all seeds",
                "value rises over three",
                "",
                float(sum(rising)),
                "needed",
                float(needed),
                f"the true value rises over three demos in at least {needed} of {count} seeds",
                sum(rising) >= needed,
            )
        )
    publish("demo_cycles", rows, options.json)


if __name__ == "__main__":
    main()
