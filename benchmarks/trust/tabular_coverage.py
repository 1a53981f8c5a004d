"""Do the 95 % intervals cover? Tabular settings with exact truth; logged and estimated propensities."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from algorithms.ope.cross_fitting import cross_fit
from algorithms.ope.padding import trajectories_from
from algorithms.ope.state_action_models import TabularModel
from algorithms.ope.state_ratios import cross_fit_state_ratios
from algorithms.ope.trajectories import Trajectories
from benchmarks.rows import Row
from benchmarks.trust.estimating import PAIRED, estimates_of
from benchmarks.trust.request import Piece, Request, sizes_of
from benchmarks.trust.tally import Tallies, Tally, of_pieces, rows_of, to_piece
from benchmarks.trust.worlds import Log, World, dataset_of, explored, on_rows, uniform_start_world
from envs.dataset import Dataset
from envs.untried import behavior_probabilities

FOLDS = 3
NEAR, FAR = 0.45, 0.16
"""Expected effective share of episodes of the two targets: ample, and just above the 10 % below which none answers."""
KINDS = {"logged": 1, "estimated": 5}
"""Propensities, and by how much fewer logs have them: estimating takes several times as long as all the rest."""
PIECE = 50


@dataclass(frozen=True, eq=False)
class Setting:
    """One kind of log and the policies that are valued on it."""

    name: str
    world: World
    behaviour: np.ndarray
    targets: dict[str, np.ndarray]
    episodes: int


def measure(request: Request) -> list[Row]:
    """All settings."""
    logs = request.count(quick=4, full=2_000)
    rows = []
    for setting in settings():
        for kind, fewer in KINDS.items():
            pieces = request.pieces(
                f"coverage-{setting.name}-{kind}",
                sizes_of(max(1, logs // fewer), PIECE),
                lambda index, size, of=setting, kind=kind: piece(of, index, size, kind),
            )
            rows += rows_of(setting.name, of_pieces(pieces))
    return rows


@cache
def settings() -> tuple[Setting, ...]:
    """Bandit, short and 50-step decision processes; costs are skewed, the bandit's rewards are clicks."""
    rng = np.random.default_rng(1)
    clicks = uniform_start_world(2, 6, 4, 1, kind="bernoulli", mean=rng.uniform(0.03, 0.5, (6, 4)))
    short = uniform_start_world(3, 5, 3, 8, end=0.02, kind="skewed")
    long = uniform_start_world(4, 5, 3, 50, end=0.005, kind="skewed")
    return (
        setting_of("bandit", clicks, 0.3, 2_000),
        setting_of("8 steps", short, 0.4, 1_000),
        setting_of("50 steps", long, 0.4, 800),
    )


def setting_of(
    name: str, world: World, explore: float, episodes: int, shares: tuple[float, ...] = (NEAR, FAR)
) -> Setting:
    """A rule with exploration as behaviour, and steps towards the best policy of the given expected overlaps."""
    best = world.best_policy()
    behaviour = explored(np.roll(best, 1, axis=1), explore)
    aim = explored(best, explore)
    targets = {f"{share:.0%}": world.step_of_overlap(behaviour, aim, share) for share in shares}
    return Setting(name, world, behaviour, targets, episodes)


def piece(setting: Setting, index: int, logs: int, kind: str = "logged", seed: int = 0) -> Piece:
    """Tallies of a piece of a setting's logs, with logged or with estimated propensities."""
    tallies: Tallies = defaultdict(Tally)
    champion = setting.world.value(setting.behaviour)
    truths = {name: setting.world.value(policy) for name, policy in setting.targets.items()}
    for dataset in datasets(setting, index, logs, seed):
        behavior = behavior_probabilities(dataset, believed=False) if kind == "estimated" else None
        first, *others = valued(setting, dataset, behavior)
        for name, path in zip(setting.targets, others, strict=True):
            for estimator, estimate in estimates_of(path, first).items():
                truth = truths[name] - (champion if estimator == PAIRED else 0.0)
                tallies[name, kind, estimator].count(estimate, truth)
    return to_piece(tallies)


def datasets(setting: Setting, index: int, logs: int, seed: int = 0) -> Iterator[Dataset]:
    """The logs of one piece."""
    rng = np.random.default_rng([seed, 77, setting.world.horizon, index])
    drawn: Log = setting.world.draw(setting.behaviour, logs * setting.episodes, rng)
    for start in range(0, len(drawn), setting.episodes):
        yield dataset_of(drawn.select(slice(start, start + setting.episodes)), setting.world)


def valued(setting: Setting, dataset: Dataset, behavior: np.ndarray | None = None) -> list[Trajectories]:
    """A log under the behaviour and each target, with cross-fitted values and state ratios."""
    policies = np.stack([setting.behaviour, *setting.targets.values()])
    q, v = tabular_values(dataset, policies)
    taken = None if behavior is None else behavior[np.arange(len(dataset)), dataset.actions]
    ratios = tabular_ratios(dataset, policies, taken)
    states = dataset.observations[dataset.rows, 0].astype(np.int64)
    return [
        trajectories_from(
            dataset,
            policy[states],
            q=q[p],
            v=v[p],
            state_log_ratios=ratios[p],
            markov=True,
            behavior=behavior,
        )
        for p, policy in enumerate(policies)
    ]


def tabular_values(dataset: Dataset, policies: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Cross-fitted Q̂ (P, E, H) and V̂ (P, E, H + 1) of policies over observations (P, O, A)."""
    states = dataset.observations[:, 0].astype(np.int64)
    model = TabularModel(states, policies.shape[1], policies.shape[2])
    every = np.ones(dataset.episode_count, dtype=bool)
    return cross_fit(model, dataset, on_rows(dataset, policies), evaluated=every, folds=FOLDS, seed=seed)


def tabular_ratios(dataset: Dataset, policies: np.ndarray, propensities: np.ndarray | None) -> np.ndarray:
    """Cross-fitted log state ratios (P, E, H) of policies over observations (P, O, A)."""
    states = dataset.observations[:, 0].astype(np.int64)
    model = TabularModel(states, policies.shape[1], policies.shape[2])
    every = np.ones(dataset.episode_count, dtype=bool)
    return cross_fit_state_ratios(
        model, dataset, on_rows(dataset, policies), evaluated=every, folds=FOLDS, propensities=propensities
    )
