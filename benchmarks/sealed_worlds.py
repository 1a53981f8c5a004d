"""Worlds that a seed draws and the pipeline does not know, through 30 retraining cycles fed by its own data.

Families: an exact null, a rare catastrophe, partial observation, drift, overrides, delayed outcomes, interference
(declared as if nothing were shared, and with the day as the episode), and true improvements; horizons 1 to 200.
Each life logs by its champion, learns, chooses, gates and promotes, and its next log is written by what it promoted.
One life of one family a seed goes through files and the public API, Ray Tune included.

    python -m benchmarks.sealed_worlds --seed S [--quick] [--json]

Expect no family whose lives promote something worse more often than α = 5 % allows (Clopper-Pearson, 99 %), less
harm-weighted regret than FQE-argmax, OBP with t and SCOPE-RL's bootstrap on the same logs, and intervals that cover
the selected policy. Peers run in their own environment (``make peers``).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import numpy as np
from scipy import stats

from benchmarks.rows import Row, arguments, publish
from benchmarks.sealed.cycle import Life
from benchmarks.sealed.families import BETTER, FAMILIES, sealed_world
from benchmarks.sealed.public import public_life
from benchmarks.sealed.records import CycleRecord, PublicRecord, RivalRecord
from benchmarks.sealed.rivals import OURS, RivalQuestion, rival_records
from tune_configs.gate.request import PROMOTE

ALPHA = 0.05
CONFIDENCE = 0.99
LIVES, CYCLES, PUBLIC_CYCLES = 2, 30, 3
QUICK_LIVES, QUICK_CYCLES = 2, 3


def lives(seed: int, *, quick: bool) -> tuple[list[CycleRecord], list[RivalQuestion]]:
    """Every family's lives of a seed."""
    count, cycles = (QUICK_LIVES, QUICK_CYCLES) if quick else (LIVES, CYCLES)
    records: list[CycleRecord] = []
    questions: list[RivalQuestion] = []
    for index, family in enumerate(FAMILIES):
        started = time.monotonic()
        for number in range(count):
            rng = np.random.default_rng([seed, index, number])
            life = Life(sealed_world(family, rng), number, rng)
            records += [life.cycle(cycle, asked=cycle == 0) for cycle in range(cycles)]
            questions += life.questions
        print(f"{family}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    return records, questions


def false_promotions(records: Sequence[CycleRecord]) -> list[Row]:
    """Lives in which anything was promoted that is not truly better, by family."""
    rows = []
    for family in dict.fromkeys(record.family for record in records):
        own = [record for record in records if record.family == family]
        count = len({record.life for record in own})
        false = len({record.life for record in own if record.false})
        interval = stats.binomtest(false, count).proportion_ci(CONFIDENCE, "exact")
        promoted = sum(record.promoted for record in own)
        rows.append(
            Row(
                family,
                f"lives with a false promotion, 99 % [{interval.low:.3f}, {interval.high:.3f}], "
                f"{promoted} promotions in {len(own)} cycles",
                "share",
                false / count,
                "lifetime α",
                ALPHA,
                "no more than α explains (Clopper-Pearson, 99 %)",
                bool(interval.low <= ALPHA),
            )
        )
    return rows


def coverage(records: Sequence[CycleRecord]) -> list[Row]:
    """Whether the gate's interval holds the truth of the policy that the gate speaks of, all families together."""
    told = [record for record in records if record.covered is not None]
    if not told:
        return []
    covered, nominal = sum(bool(record.covered) for record in told), float(np.mean([r.confidence for r in told]))
    chance = stats.binomtest(covered, len(told), nominal, alternative="less").pvalue
    return [
        Row(
            "all families",
            f"coverage of the selected policy in {len(told)} gates whose tail condition holds",
            "share",
            covered / len(told),
            "mean confidence",
            nominal,
            "a binomial test at 1 % does not reject it",
            bool(chance > 0.01),
        )
    ]


def power(records: Sequence[CycleRecord]) -> list[Row]:
    """How often a gate promotes where something is truly better, beside a test that knows the true Q."""
    told = [record for record in records if record.family == BETTER and record.oracle is not None]
    if not told:
        return []
    ours = float(np.mean([record.promoted for record in told]))
    oracle = float(np.mean([bool(record.oracle) for record in told]))
    last = {record.life: record for record in records if record.family == BETTER}
    reached = float(np.mean([record.reached / record.possible for record in last.values() if record.possible > 0.0]))
    return [
        Row(
            BETTER,
            f"promotions in {len(told)} cycles with a better variant",
            "share",
            ours,
            "oracle-Q test of the best variant",
            oracle,
            "shown beside it: the oracle knows Q and which variant is best, and minds no overlap",
            True,
        ),
        Row(
            BETTER,
            "gain reached at the end over the best policy's",
            "share",
            reached,
            "the first champion",
            0.0,
            "above 0",
            reached > 0.0,
        ),
    ]


def regret(records: Sequence[RivalRecord]) -> list[Row]:
    """Harm-weighted regret of the first cycle beside the rivals', on the logs that each rival answers."""
    rows = []
    for rival in dict.fromkeys(record.rival for record in records if record.rival != OURS):
        ours = {record.log: record for record in records if record.rival == OURS}
        theirs = {record.log: record for record in records if record.rival == rival}
        pairs = [(ours[log], theirs[log]) for log in theirs]
        mine, other = (float(np.mean([pair[side].regret for pair in pairs])) for side in (0, 1))
        wrong = [sum(pair[side].false for pair in pairs) for side in (0, 1)]
        rows.append(
            Row(
                f"{len(pairs)} first logs",
                f"harm-weighted regret ({wrong[0]} false deployments to {wrong[1]})",
                "standard deviations",
                mine,
                rival,
                other,
                "no more than the rival's",
                mine <= other,
            )
        )
    return rows


def public(records: Sequence[PublicRecord]) -> list[Row]:
    """The life through files and the public API."""
    promoted = sum(record.decision == PROMOTE for record in records)
    return [
        Row(
            f"{records[0].family}, through files",
            f"false promotions in {len(records)} cycles, {promoted} promotions",
            "",
            float(sum(record.false for record in records)),
            "none",
            0.0,
            "none",
            not any(record.false for record in records),
        )
    ]


def main() -> None:
    """Live, ask the rivals, and say how it went."""
    options = arguments(__doc__, seed=(int, 0, "what draws the worlds"))
    records, questions = lives(options.seed, quick=options.quick)
    rows = [*false_promotions(records), *coverage(records), *power(records), *regret(rival_records(questions))]
    family = list(FAMILIES)[options.seed % len(FAMILIES)]
    rng = np.random.default_rng([options.seed, len(FAMILIES)])
    rows += public(public_life(sealed_world(family, rng), rng, 1 if options.quick else PUBLIC_CYCLES))
    publish(f"sealed_worlds seed {options.seed}", rows, options.json)


if __name__ == "__main__":
    main()
