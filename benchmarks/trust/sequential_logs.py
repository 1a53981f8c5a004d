"""The same logs put to ours, to SCOPE-RL and to d3rlpy: what each says of every candidate policy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.trust import peers
from benchmarks.trust.candidates import Candidates, all_candidates, hidden_harm
from benchmarks.trust.request import Piece, Request, sizes_of
from benchmarks.trust.worlds import Log, dataset_of, on_rows, turns
from envs.dataset import FINAL
from tune_configs.judge import Judge, episodes_in
from tune_configs.recommendation import best_first

EPISODES = 2_500
PIECE = 1
UPDATES, QUICK_UPDATES = 1_000, 10
ASKED = 4
"""Every so manieth policy is also put to d3rlpy's own, slower network."""
OURS = ("ranking", "value", "fqe")


@dataclass(frozen=True, eq=False)
class Answers:
    """What everybody said on L logs of P candidates.

    Attributes:
        candidates: the policies with their truths.
        said: float64 (L, P) by name. Ours: ``ranking`` that ``tune`` recommends by (number of policies that come
            later), ``value`` that it prints, ``fqe`` fitted Q evaluation alone. ``SCOPE-RL …`` are its estimators,
            whose ``dm`` is d3rlpy's fitted Q evaluation with the network that SCOPE-RL gives it; ``d3rlpy`` has its
            own network, NaN where not asked.
    """

    candidates: Candidates
    said: dict[str, np.ndarray]

    @property
    def scope_rl(self) -> dict[str, np.ndarray]:
        """SCOPE-RL's estimators."""
        return {name: values for name, values in self.said.items() if name.startswith("SCOPE-RL")}


@cache
def answers(request: Request) -> tuple[Answers, ...]:
    """Of all logs of each world; two parts of the benchmark read them."""
    logs = request.count(quick=1, full=6)
    updates = QUICK_UPDATES if request.quick else UPDATES
    pieces = request.pieces(
        f"sequential-{updates}", sizes_of(logs, PIECE), lambda index, size: piece(index, size, updates)
    )
    found = []
    for candidates in all_candidates():
        parts = [each[candidates.name] for each in pieces]
        said = {name: [np.array(part[name], dtype=np.float64) for part in parts] for name in parts[0]}
        found.append(Answers(candidates, {name: np.concatenate(values) for name, values in said.items()}))
    return tuple(found)


@cache
def own_answers(request: Request) -> tuple[Answers, ...]:
    """Ours alone, which take no time, of many more logs; and of a world whose harm is not observed."""
    logs = request.count(quick=2, full=100)
    found = []
    for candidates in (*all_candidates(), hidden_harm()):
        rng = np.random.default_rng([0, 82, candidates.world.observed_count])
        drawn = [judged(candidates, candidates.world.draw(candidates.behaviour, EPISODES, rng)) for _ in range(logs)]
        found.append(Answers(candidates, {key: np.stack([each[key] for each in drawn]) for key in OURS}))
    return tuple(found)


def piece(index: int, logs: int, updates: int, seed: int = 0) -> Piece:
    """What everybody said on a piece of each world's logs, (L, P) by world and name."""
    said: dict[str, dict[str, list[np.ndarray]]] = {}
    arrays = {"updates": np.array(updates)}
    for candidates in all_candidates():
        world, name = candidates.world, candidates.name
        rng = np.random.default_rng([seed, 81, world.observed_count, index])
        drawn = [world.draw(candidates.behaviour, EPISODES, rng) for _ in range(logs)]
        ours = [judged(candidates, log) for log in drawn]
        said[name] = {key: [each[key] for each in ours] for key in OURS}
        for number, log in enumerate(drawn):
            readable = log.select(turns(len(log)) != FINAL)
            arrays |= {f"{name}/{number}/{key}": values for key, values in for_peers(candidates, readable).items()}
    found = peers.run("fitted_q", arrays)
    for name, by_key in said.items():
        by_key["d3rlpy"] = [found[f"{name}/{number}/d3rlpy"] for number in range(logs)]
        for row, estimator in enumerate(found[f"{name}/0/names"]):
            by_key[f"SCOPE-RL {estimator}"] = [found[f"{name}/{number}/scope"][row] for number in range(logs)]
    return {name: {key: np.stack(values) for key, values in by_key.items()} for name, by_key in said.items()}


def judged(candidates: Candidates, log: Log) -> dict[str, np.ndarray]:
    """Ours, from ``train`` and ``select`` alone, (P,) by name."""
    whole = dataset_of(log, candidates.world, explore=float(candidates.behaviour.min()))
    dataset = whole.select_episodes(whole.splits != FINAL)
    on_all = on_rows(dataset, np.concatenate([candidates.behaviour[None], candidates.policies]))
    judge = Judge(dataset, on_all[0], evaluated=episodes_in(dataset, "select"), fitted=episodes_in(dataset, "train"))
    judgements = [judge.judge(policy) for policy in on_all[1:]]
    values = [path.v_values for path in judge.trajectories(on_all[1:])[judge.first]]
    ranking = np.empty(len(judgements))
    ranking[best_first(judgements)] = np.arange(len(judgements))[::-1]
    return {
        "ranking": ranking,
        "value": np.array([each.value.value for each in judgements]),
        "fqe": np.array([each[:, 0].mean() for each in values if each is not None]),
    }


def for_peers(candidates: Candidates, log: Log) -> dict[str, np.ndarray]:
    """What ``benchmarks/peers/fitted_q.py`` reads of one log."""
    taken = log.actions[:, :, None]
    return {
        "states": log.states[:, :-1],
        "actions": log.actions,
        "rewards": log.rewards,
        "active": log.active,
        "pscore": np.take_along_axis(log.probabilities, taken, axis=2)[:, :, 0],
        "policies": candidates.policies,
        "asked": np.arange(len(candidates.policies)) % ASKED == ASKED - 1,
    }
