"""Do the 95 % intervals cover on the testbeds? Truth by long simulation, logs drawn from large pools."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from algorithms.ope.cross_fitting import cross_fit
from algorithms.ope.estimate import Estimate
from algorithms.ope.model_classes import evaluation_models
from algorithms.ope.padding import trajectories_from
from algorithms.ope.trajectories import Trajectories
from benchmarks.rows import Row
from benchmarks.trust.estimating import PAIRED, estimates_of
from benchmarks.trust.request import Piece, Request, sizes_of
from benchmarks.trust.tally import Tallies, Tally, of_pieces, rows_of, to_piece
from benchmarks.trust.testbed_logs import AIMS, behaviour_of, draw_dataset, mixed, step_of_overlap, true_returns
from envs.dataset import TRAIN, Dataset
from envs.testbeds.rollout import Probabilities, explored
from envs.testbeds.testbed import EXPLORE, TESTBEDS
from envs.untried import behavior_probabilities

FITTED = 1_500
"""Episodes that the models are fitted on, apart from the pool."""
EPISODES = 1_000
POOLS, POOL = 20, 20_000
"""A log is drawn from a pool without replacement, which makes it as good as fresh; each pool has models of its own.
Logs of one pool are related by a twentieth: of five pools two by chance lay on one side of the truth."""
PILOT = 10_000
"""Episodes that the target's step is set on."""
TRUTH = 1_000_000
"""Of 100,000 the truth itself was off by a quarter of the error of a log's estimate."""
NEAR = 0.4
"""Effective share of the pool's episodes under the target."""
ESTIMATED = 20
"""By how much fewer logs lose their propensities: estimating a rule of many fields takes seconds a log."""


def measure(request: Request) -> list[Row]:
    """All testbeds."""
    logs = request.count(quick=2, full=1_000)
    # A quick pool is small: its rows are those of the full run, their figures are not.
    pool, truth = (1_500, 2_000) if request.quick else (POOL, TRUTH)
    sizes = {"logged": sizes_of(logs, -(-logs // POOLS)) if logs >= POOLS else [logs]}
    sizes["estimated"] = [max(1, logs // ESTIMATED)]
    rows = []
    for name in TESTBEDS:
        (asked,) = request.pieces(f"question-{name}", [truth], lambda _, size, of=name: ask(of, size))
        question = question_of(name, asked)
        for kind in sizes:
            pieces = request.pieces(
                f"coverage-{name}-{kind}-{pool}",
                sizes[kind],
                lambda index, size, of=question, kind=kind: piece(of, index, size, kind, pool=pool),
            )
            rows += rows_of(name, of_pieces(pieces))
    return rows


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked of a testbed's logs, with the true answer.

    Attributes:
        name: of the testbed.
        target: the policy that is valued.
        truth: its value, by simulation.
        gain: its gain over the policy that writes the log, by simulation of the same episodes.
    """

    name: str
    target: Probabilities
    truth: float
    gain: float


@dataclass(frozen=True, eq=False)
class Pool:
    """Many episodes of a testbed, valued once.

    Attributes:
        dataset: all of them, without those that the models were fitted on.
        champion: under the policy that wrote them.
        candidate: under the target.
        target: float64 (N, A), the target at each decision.
    """

    dataset: Dataset
    champion: Trajectories
    candidate: Trajectories
    target: np.ndarray


def ask(name: str, truth_episodes: int, seed: int = 0) -> Piece:
    """The step at an overlap of :data:`NEAR`, and the true value and gain of the target that it leads to."""
    testbed = TESTBEDS[name]
    aim = explored(AIMS[name], EXPLORE, testbed.allowed_of)
    pilot = draw_dataset(name, min(PILOT, truth_episodes), np.random.default_rng([seed, 76]))
    step = step_of_overlap(pilot, aim(pilot.observations[pilot.rows]), NEAR)
    policies = behaviour_of(testbed), target_of(name, step)
    before, after = (true_returns(name, policy, truth_episodes, seed) for policy in policies)
    return {"step": step, "truth": after.mean(), "gain": (after - before).mean()}


def target_of(name: str, step: float) -> Probabilities:
    """The logging policy, a step on its way to the testbed's aim."""
    testbed = TESTBEDS[name]
    return mixed(behaviour_of(testbed), explored(AIMS[name], EXPLORE, testbed.allowed_of), step)


def question_of(name: str, asked: Piece) -> Question:
    """What :func:`ask` found."""
    return Question(name, target_of(name, asked["step"]), asked["truth"], asked["gain"])


def piece(question: Question, index: int, logs: int, kind: str = "logged", *, pool: int = POOL, seed: int = 0) -> Piece:
    """Tallies of the logs of one pool, with logged or with estimated propensities."""
    rng = np.random.default_rng([seed, 78, index])
    tallies: Tallies = defaultdict(Tally)
    drawn = draw_pool(question, pool, rng)
    for _ in range(logs):
        chosen = np.sort(rng.choice(len(drawn.candidate), EPISODES, replace=False))
        if kind == "estimated":
            found = estimates_without_propensities(drawn, chosen)
        else:
            found = estimates_of(subset_of(drawn.candidate, chosen), subset_of(drawn.champion, chosen))
        for estimator, estimate in found.items():
            truth = question.gain if estimator == PAIRED else question.truth
            tallies[f"{NEAR:.0%}", kind, estimator].count(estimate, truth)
    return to_piece(tallies)


def draw_pool(question: Question, episodes: int, rng: np.random.Generator) -> Pool:
    """Fresh episodes, with models fitted on others."""
    dataset = draw_dataset(question.name, FITTED + episodes, rng, fitted=FITTED)
    logging = behaviour_of(TESTBEDS[question.name])
    policies = np.stack([policy(dataset.observations) for policy in (logging, question.target)])
    fitted = dataset.splits == TRAIN
    model = next(iter(evaluation_models(dataset, fitted).values()))
    q, v = cross_fit(model, dataset, policies, evaluated=~fitted, always=fitted, folds=0)
    subset = dataset.select_episodes(~fitted)
    rows = dataset.rows[~fitted[dataset.episode_index]]
    champion, candidate = (trajectories_from(subset, policies[p][rows], q=q[p], v=v[p]) for p in range(2))
    return Pool(subset, champion, candidate, policies[1][rows])


def subset_of(trajectories: Trajectories, chosen: np.ndarray) -> Trajectories:
    """Some of the episodes."""
    q, v = trajectories.q_values, trajectories.v_values
    return Trajectories(
        trajectories.rewards[chosen],
        trajectories.log_ratios[chosen],
        trajectories.active[chosen],
        trajectories.discount,
        None if q is None else q[chosen],
        None if v is None else v[chosen],
    )


def estimates_without_propensities(drawn: Pool, chosen: np.ndarray) -> dict[str, Estimate]:
    """The estimators on one log whose propensities were lost: grade B."""
    dataset = drawn.dataset.select_episodes(chosen)
    behavior = behavior_probabilities(dataset, believed=False)
    index = drawn.dataset.offsets[chosen]
    decisions = np.concatenate([np.arange(a, a + n) for a, n in zip(index, dataset.lengths, strict=True)])
    paths = []
    for path, probabilities in (
        (drawn.candidate, drawn.target),
        (drawn.champion, drawn.dataset.action_probabilities),
    ):
        part = subset_of(path, chosen)
        paths.append(
            trajectories_from(
                dataset,
                probabilities[decisions],
                q=part.q_values,
                v=part.v_values,
                behavior=behavior,
            )
        )
    return estimates_of(*paths)
