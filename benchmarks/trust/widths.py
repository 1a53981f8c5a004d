"""Width of our intervals beside the best valid competitor's, on the same logs with the same models."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from algorithms.ope.trajectories import Trajectories
from benchmarks.rows import Row
from benchmarks.trust import peers
from benchmarks.trust.estimating import PAIRED, estimates_of
from benchmarks.trust.request import Piece, Request, sizes_of
from benchmarks.trust.tabular_coverage import Setting, datasets, settings, valued
from benchmarks.trust.tally import ANSWERED, Tallies, Tally, of_pieces, to_piece
from envs.dataset import Dataset

LARGEST = 1.3
PIECE = 25
DRAWS, QUICK_DRAWS = 500, 50
"""Bootstrap draws of both peers (10,000 and 100 by default)."""
GOAL = f"mean width at most {LARGEST} times that of the best valid asymptotic competitor on the same logs"
OURS, THEIRS = "ours", "peers"


def measure(request: Request) -> list[Row]:
    """One row for each setting and target: our narrowest valid interval against the peers' narrowest valid one.

    Valid is what a binomial test at 1 % does not find to cover less than 95 %, among what answers nearly every log.
    """
    logs = request.count(quick=3, full=250)
    draws = QUICK_DRAWS if request.quick else DRAWS
    pieces = request.pieces(f"widths-{draws}", sizes_of(logs, PIECE), lambda index, size: piece(index, size, draws))
    rows = []
    for setting in settings():
        tallies = of_pieces(each[setting.name] for each in pieces)
        for target in setting.targets:
            ours, theirs = (
                {name: tally for (of, whose, name), tally in tallies.items() if (of, whose) == (target, kind)}
                for kind in (OURS, THEIRS)
            )
            rows.append(row_of(f"{setting.name}, ESS {target}", ours, theirs))
    return rows


def piece(index: int, logs: int, draws: int) -> Piece:
    """Tallies of ours and of the peers on the same logs, by setting."""
    tallies: dict[str, Tallies] = {}
    arrays: dict[str, np.ndarray] = {"draws": np.array(draws)}
    for setting in settings():
        tallies[setting.name], given = our_tallies(setting, index, logs)
        arrays |= {f"{setting.name}/{key}": values for key, values in given.items()}
    found = peers.run("intervals", arrays)
    for setting in settings():
        for target, policy in setting.targets.items():
            truth = setting.world.value(policy)
            names, *bounds = (found[f"{setting.name}/{target}/{part}"] for part in ("names", "lower", "upper"))
            for name, lower, upper in zip(names, *bounds, strict=True):
                hits = int(((lower <= truth) & (truth <= upper)).sum())
                tally = Tally(len(lower), len(lower), hits, float((upper - lower).sum()))
                tallies[setting.name][target, THEIRS, str(name)] = tally
    return {name: to_piece(found) for name, found in tallies.items()}


def our_tallies(setting: Setting, index: int, logs: int) -> tuple[Tallies, dict[str, np.ndarray]]:
    """Our tallies on a piece of a setting's logs, and those logs for the peers."""
    tallies: Tallies = defaultdict(Tally)
    arrays: dict[str, list[np.ndarray]] = defaultdict(list)
    for dataset in datasets(setting, index, logs, seed=1):
        champion, *others = valued(setting, dataset)
        states = dataset.observations[dataset.rows, 0].astype(np.int64)
        for (target, policy), path in zip(setting.targets.items(), others, strict=True):
            truth = setting.world.value(policy)
            for estimator, estimate in estimates_of(path, champion).items():
                if estimator != PAIRED:
                    tallies[target, OURS, estimator].count(estimate, truth)
            for key, values in for_peers(dataset, path, policy[states]).items():
                arrays[f"{target}/{key}"].append(values)
    return dict(tallies), {key: np.stack(values) for key, values in arrays.items()}


def for_peers(dataset: Dataset, path: Trajectories, probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """What ``benchmarks/peers/intervals.py`` reads of one log, (E, H) each; ended episodes go on with weight 1."""
    target, pscore = np.ones(path.rewards.shape), np.ones(path.rewards.shape)
    target[path.active] = probabilities[np.arange(len(dataset)), dataset.actions]
    pscore[path.active] = dataset.propensities
    assert path.q_values is not None and path.v_values is not None
    return {
        "rewards": path.rewards,
        "target": target,
        "pscore": pscore,
        "q": np.where(path.active, path.q_values, 0.0),
        "v": np.where(path.active, path.v_values[:, :-1], 0.0),
    }


def row_of(case: str, ours: dict[str, Tally], theirs: dict[str, Tally]) -> Row:
    """Our narrowest valid interval beside theirs."""
    best, width = narrowest(ours, "no valid interval of ours")
    peer, beside = narrowest(theirs, "no valid competitor")
    # Where no competitor is valid there is nothing to be wider than.
    holds = math.isfinite(width) and width <= LARGEST * beside
    return Row(case, f"{best}: mean width", "return", width, peer, beside, GOAL, holds)


def narrowest(tallies: dict[str, Tally], nobody: str) -> tuple[str, float]:
    """Name and mean width of the narrowest valid interval; ``nobody`` and infinity where there is none."""
    valid = {
        name: tally.mean_width
        for name, tally in tallies.items()
        if tally.answered >= ANSWERED * tally.logs and tally.answered and tally.covers(two_sided=False)
    }
    return min(valid.items(), key=lambda item: item[1], default=(nobody, math.inf))
