"""The demo of all four agents for many seeds: what is promoted is never truly worse, what is recommended is better.

python -m benchmarks.demo_seeds [--quick] [--json] [--seeds 20] [--full 0]

Every seed is a ``demo --quick`` in a home of its own; ``--full 5`` runs five whole demos in place of them. The
promotions and recommendations that the whole demo owes are counted for whole demos only.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import ai_engine
from ai_engine.demo_result import DemoResult
from benchmarks.rows import Row, arguments, publish
from envs.testbeds.testbed import TESTBEDS

LIMITS = {True: 90.0, False: 360.0}


def demo_rows(seed: int, result: DemoResult, limit: float) -> list[Row]:
    """Promotions and recommendations of one demo beside the truth."""
    rows = [
        Row(
            f"seed {seed}",
            "wall clock",
            "s",
            result.seconds,
            "limit",
            limit,
            "6 minutes at most on 2 cores, --quick 90 s",
            result.seconds <= limit,
        )
    ]
    for shown in result.agents:
        before, recommended, after = shown.reveal[1], shown.reveal[2], shown.reveal[3]
        name = f"seed {seed} {shown.agent}"
        never = "no promoted policy is truly worse than what it replaced by more than the declared margin"
        beside = "the recommendation beside version 0; counted for whole demos"
        if shown.moved:
            safe = after.pool >= before.pool - shown.margin
            rows.append(Row(name, "promoted: true value", "", after.pool, "before", before.pool, never, safe))
        rows.append(
            Row(
                name,
                f"{shown.gate.decision}, recommended by {shown.tune.recommendation.algorithm}: true value",
                "",
                recommended.pool,
                "version 0",
                before.pool,
                beside,
                True,
            )
        )
    return rows


def main() -> None:
    """Measure."""
    options = arguments(
        __doc__,
        seeds=(int, 20, "number of quick demos"),
        full=(int, 0, "number of whole demos, in place of the quick ones"),
        first=(int, 0, "first seed"),
    )
    quick = not options.full
    count = 1 if options.quick else options.full or options.seeds
    rows: list[Row] = []
    results = []
    for seed in range(options.first, options.first + count):
        with tempfile.TemporaryDirectory() as folder:
            results.append(ai_engine.demo(home=Path(folder) / "home", seed=seed, quick=quick))
            rows += demo_rows(seed, results[-1], LIMITS[quick])
    needed = max(1, round(0.8 * count))
    if not quick:
        several = sum(sum(shown.moved for shown in result.agents) >= 2 for result in results)
        goal = f"at least two agents promote in {needed} of {count} seeds"
        rows.append(
            Row(
                "all seeds",
                "demos that promote two",
                "",
                float(several),
                "needed",
                float(needed),
                goal,
                several >= needed,
            )
        )
    for name in TESTBEDS:
        better = sum(result.agent(name).reveal[2].pool > result.agent(name).reveal[1].pool for result in results)
        goal = f"the recommendation beats version 0 in at least {needed} of {count} seeds of the whole demo"
        rows.append(
            Row(name, "recommended better", "", float(better), "needed", float(needed), goal, quick or better >= needed)
        )
    publish("demo_seeds", rows, options.json)


if __name__ == "__main__":
    main()
