"""Two policies of a real A/B test: each valued on the other's log, beside what it earned itself.

The item-and-position frequencies of ``bts``, from the first half of its log, are valued on the log of
``random``; the reverse lacks overlap and is refused, with its figures.

    python -m benchmarks.open_bandit [--quick] [--json]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import ai_engine
from ai_engine.evaluating import EvaluateResult
from algorithms.ope.estimate import Estimate
from benchmarks.rows import Row, arguments, publish

DATA = Path(__file__).with_name("data") / "open_bandit_sample.parquet"
FREQUENCIES = {"model": "table", "discretizer": "grid", "fields": ("position",), "resolution": 3}
FEATURES = ("position", "user_feature_0", "user_feature_1", "user_feature_2", "user_feature_3")


def write_log(folder: Path, policy: str) -> tuple[Path, str]:
    """One policy's log in the record's columns, and the time in the middle of it."""
    table = pq.read_table(DATA)
    table = table.filter(pa.compute.equal(table["policy"], policy)).sort_by("timestamp")
    observation = pa.StructArray.from_arrays([table[name].combine_chunks() for name in FEATURES], FEATURES)
    columns = {
        "timestamp": table["timestamp"],
        "observation": observation,
        "action": table["item_id"],
        "propensity": table["propensity_score"],
        "reward": table["click"].cast(pa.float64()),
    }
    path = folder / f"{policy}.parquet"
    pq.write_table(pa.table(columns), path)
    middle = table["timestamp"][table.num_rows // 2].as_py()
    return path, middle.isoformat()


def main() -> None:
    """Measure."""
    options = arguments(__doc__)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = folder / "home"
        versions = {}
        for policy in ("random", "bts"):
            log, middle = write_log(folder, policy)
            ai_engine.import_log(policy, [log], home=home)
            trained = ai_engine.train(
                policy,
                algorithm="behavior_cloning",
                hyperparameters=FREQUENCIES,
                until=middle,
                refit_all=True,
                home=home,
            )
            versions[policy] = trained.version
        valued = ai_engine.evaluate(versions["bts"], on="random", home=home)
        refused = ai_engine.evaluate(versions["random"], on="bts", home=home)
        forced = ai_engine.evaluate(versions["random"], on="bts", home=home, force=True)
        earned = forced.logged  # all rows of the log of bts
    if not options.json:
        print(valued.to_text(), refused.to_text(), forced.to_text(), sep="\n\n", end="\n\n")
    rows = []
    for estimate in of_log(valued):
        inside = estimate.usable and estimate.lower <= earned.upper and earned.lower <= estimate.upper
        rows.append(
            Row(
                "bts on random",
                estimate.estimator,
                "clicks",
                estimate.value,
                "bts itself",
                earned.value,
                "an interval that meets the interval of what bts itself earned",
                inside,
            )
        )
    for estimate in of_log(refused):
        rows.append(
            Row(
                "random on bts",
                f"{estimate.estimator} effective units",
                "",
                estimate.effective_sample_size,
                "units",
                float(estimate.units),
                "refused for lack of overlap, with its figures",
                "effective sample size" in estimate.refused and not np.isfinite(estimate.value),
            )
        )
    for estimate in of_log(forced):
        rows.append(
            Row(
                "random on bts, forced",
                estimate.estimator,
                "clicks",
                estimate.value,
                "log of bts",
                forced.logged.value,
                "the interval is printed and marked unusable",
                np.isfinite(estimate.lower) and not estimate.usable,
            )
        )
    publish("open_bandit", rows, options.json)


def of_log(result: EvaluateResult) -> list[Estimate]:
    """The estimates whose evidence is the log."""
    return [estimate for estimate in result.estimates if estimate.evidence == "log"]


if __name__ == "__main__":
    main()
