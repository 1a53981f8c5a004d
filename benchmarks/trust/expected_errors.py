"""Expected errors of doubly robust estimates on OBP's own set-ups, each given its model of rewards: ours and OBP's.

Where the expected rewards of all actions in the log's own contexts are known, so is the variance that the luck of
actions and rewards leaves in DR, and nothing has to be drawn to compare two models. For contexts x_i, the probabilities
μ of the log and π of the policy valued, expected rewards q of variance v and a model q̂, each (n, A),

    DR     = 1/n Σ_i { Σ_a π q̂ + (π/μ)(x_i, a_i) (r_i - q̂(x_i, a_i)) }
    Var DR = 1/n² Σ_i { Σ_a (π²/μ) (v + (q - q̂)²) - (Σ_a π (q - q̂))² }

of a q̂ that is fixed: the second moment of the one random term of a decision, less its mean squared. DR is unbiased, so
√Var DR is its expected, that is root mean square, error. A cross-fitted q̂ is fixed for the fold that it is applied to;
the folds' errors are taken as independent. The floor is the expected error at q̂ = q, below which none is.

Reference: Dudík, Erhan, Langford & Li (2014), Doubly robust policy evaluation and optimization, the variance of DR at
probabilities that are known, here given the contexts.
"""

from __future__ import annotations

import numpy as np

from benchmarks.rows import Row
from benchmarks.trust import peers
from benchmarks.trust.bandit_errors import SETUPS, cross_fitted, single_decisions, standard_error
from benchmarks.trust.request import Piece, Request, sizes_of

PIECE = 5
WHOSE = ("ours", "obp", "floor")
GOAL = "mean expected relative error of DR at most that of OBP's, each given its own model of rewards on the same logs"


def measure(request: Request) -> list[Row]:
    """A row for each set-up, with the paired difference's standard error and the floor."""
    runs = request.count(quick=2, full=30)
    pieces = request.pieces("expected-errors", sizes_of(runs, PIECE), piece)
    rows = []
    for setup in SETUPS:
        ours, theirs, floor = (np.concatenate([each[setup][whose] for each in pieces]) for whose in WHOSE)
        apart = f"difference ± {standard_error(ours - theirs):.2g}, floor {floor.mean():.4g}"
        metric = f"doubly_robust: expected error given its model ({apart})"
        error, beside = float(ours.mean()), float(theirs.mean())
        rows.append(Row(setup, metric, "relative", error, "OBP dr", beside, GOAL, error <= beside))
    return rows


def piece(index: int, runs: int) -> Piece:
    """Expected relative errors given our model, OBP's and the expected rewards on some runs of each set-up."""
    found = peers.run("bandit_rewards", {"first": np.array(index * PIECE), "runs": np.array(runs)})
    errors: Piece = {setup: {whose: [] for whose in WHOSE} for setup in SETUPS}
    for setup in SETUPS:
        for run in range(runs):
            part = f"{setup}/{run}/"
            log = {key: found[part + key] for key in ("context", "action", "reward", "pscore")}
            target, expected, truth = (found[part + key] for key in ("target", "expected", "truth"))
            models = (our_rewards(**log, choices=target.shape[1]), found[part + "modelled"], expected)
            for whose, modelled in zip(WHOSE, models, strict=True):
                luck = expected * (1.0 - expected)  # of rewards 0 and 1
                variance = variance_given(modelled, expected, luck, found[part + "logged"], target)
                errors[setup][whose].append(np.sqrt(variance) / abs(float(truth)))
    return errors


def variance_given(
    modelled: np.ndarray, expected: np.ndarray, variance: np.ndarray, logged: np.ndarray, target: np.ndarray
) -> float:
    """Variance of DR over actions and rewards, given the contexts and the model of rewards.

    Args:
        modelled: q̂, float64 (n, A).
        expected: q, float64 (n, A).
        variance: v, of the rewards, float64 (n, A).
        logged: μ, float64 (n, A), above 0 where ``target`` is.
        target: π, float64 (n, A).
    """
    left = expected - modelled
    weight = np.divide(target, logged, out=np.zeros_like(target), where=target > 0)
    second = (target * weight * (variance + left**2)).sum(axis=1)
    return float((second - (target * left).sum(axis=1) ** 2).sum() / len(left) ** 2)


def our_rewards(
    context: np.ndarray, action: np.ndarray, reward: np.ndarray, pscore: np.ndarray, choices: int
) -> np.ndarray:
    """Our cross-fitted q̂ of all actions, float64 (n, A): the values of the policies that always take one.

    Args:
        context: float64 (n, D).
        action: int64 (n,).
        reward: float64 (n,).
        pscore: float64 (n,), the logged propensities.
        choices: A.
    """
    dataset = single_decisions(context, action, reward, pscore, choices)
    always = np.broadcast_to(np.eye(choices)[:, None], (choices, len(dataset.observations), choices))
    _, v = cross_fitted(dataset, always)
    return v[:, :, 0].T
