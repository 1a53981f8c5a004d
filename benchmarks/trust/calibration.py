"""From which overlap on do the intervals cover, and how many answers are wrong where the rule refuses some logs?"""

from __future__ import annotations

import inspect
from collections import defaultdict
from dataclasses import replace

import numpy as np

from algorithms.ope.importance_sampling import default_rule
from algorithms.ope.overlap import DOUBLY_ROBUST_RULE, OverlapRule
from algorithms.ope.registry import ESTIMATORS
from algorithms.ope.trajectories import Trajectories
from benchmarks.rows import Row
from benchmarks.trust.estimating import PAIRED, estimates_of
from benchmarks.trust.request import Piece, Request, sizes_of
from benchmarks.trust.tabular_coverage import Setting, datasets, setting_of, settings, valued
from benchmarks.trust.tally import Tallies, Tally, of_pieces, to_piece

SHARES = (0.06, 0.10, 0.15, 0.20, 0.25, 0.35, 0.50)
"""Expected effective shares of episodes; the estimators' rules are among them."""
EPISODES = 2_000
"""At the rules' smallest shares these are the rules' smallest numbers of units."""
PIECE = 25
LOWEST = "the rule refuses below the lowest overlap from which on a binomial test at 1 % does not find less than 95 %"
WRONG = "with its rule, at no overlap wrong answers in more than 5 % of all logs, by a binomial test at 1 %"
UNRULED, RULED = "unruled", "ruled"


def measure(request: Request) -> list[Row]:
    """Two rows for each estimator and setting."""
    logs = request.count(quick=2, full=500)
    rows = []
    for setting in map(swept, settings()):
        pieces = request.pieces(
            f"calibration-{setting.name}", sizes_of(logs, PIECE), lambda index, size, of=setting: piece(of, index, size)
        )
        rows += rows_of(setting, of_pieces(pieces))
    return rows


def swept(setting: Setting) -> Setting:
    """The setting with targets at all shares and more episodes; a bandit that explores little enough to reach them."""
    explore = float(setting.behaviour.min()) * setting.behaviour.shape[1] if setting.world.horizon > 1 else 0.1
    return setting_of(setting.name, setting.world, explore, EPISODES, SHARES)


def piece(setting: Setting, index: int, logs: int) -> Piece:
    """Tallies of a piece of a setting's logs, with nothing refused and with what the rules refuse."""
    tallies: Tallies = defaultdict(Tally)
    champion = setting.world.value(setting.behaviour)
    truths = {name: setting.world.value(policy) for name, policy in setting.targets.items()}
    for dataset in datasets(setting, index, logs):
        first, *others = valued(setting, dataset)
        for name, path in zip(setting.targets, others, strict=True):
            for estimator, estimate in estimates_of(path, first, ruled=False).items():
                truth = truths[name] - (champion if estimator == PAIRED else 0.0)
                tallies[name, UNRULED, estimator].count(estimate, truth)
                refused = rule_of(estimator, path).refusal(estimate.effective_sample_size, estimate.units)
                tallies[name, RULED, estimator].count(replace(estimate, refused=refused), truth)
    return to_piece(tallies)


def rows_of(setting: Setting, tallies: Tallies) -> list[Row]:
    """The lowest share from which on the coverage test passes, and the most wrong answers at any share."""
    rows = []
    for estimator in {name: None for _, _, name in tallies}:
        unruled, ruled = ([tallies[target, kind, estimator] for target in setting.targets] for kind in (UNRULED, RULED))
        lowest = lowest_share(unruled)
        rule = rule_of(estimator, no_episode(setting.world.horizon)).minimum_fraction
        rows.append(
            Row(
                setting.name, f"{estimator}: covers from", "ESS share", lowest, "its rule", rule, LOWEST, lowest <= rule
            )
        )
        share, worst = max(zip(SHARES, ruled, strict=True), key=lambda item: item[1].wrong / item[1].logs)
        rows.append(
            Row(
                f"{setting.name}, ESS {share:.0%}",
                f"{estimator}: wrong",
                "of all logs",
                worst.wrong / worst.logs,
                "answered",
                worst.answered / worst.logs,
                WRONG,
                not any(each.too_often_wrong for each in ruled),
            )
        )
    return rows


def lowest_share(unruled: list[Tally]) -> float:
    """The lowest of :data:`SHARES` from which on all intervals cover; 1 where not even the highest does."""
    lowest = 1.0
    for share, tally in sorted(zip(SHARES, unruled, strict=True), key=lambda item: -item[0]):
        if not tally.covers(two_sided=False):
            break
        lowest = share
    return lowest


def rule_of(estimator: str, trajectories: Trajectories) -> OverlapRule:
    """What an estimator refuses where it is not told otherwise."""
    if estimator == PAIRED:
        return DOUBLY_ROBUST_RULE
    default = inspect.signature(ESTIMATORS[estimator]).parameters["overlap"].default
    rule = default_rule(trajectories) if default is None else default
    assert isinstance(rule, OverlapRule)
    return rule


def no_episode(horizon: int) -> Trajectories:
    """For a rule that asks for the horizon alone."""
    empty = np.zeros((0, horizon))
    return Trajectories(empty, empty, empty.astype(bool))
