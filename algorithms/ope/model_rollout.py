"""Policies played in a model of the log: what they are worth if the model is the world.

    v̂ = mean over models m and episodes j of Σ_{t<H} γᵗ r_t(m, j, π)

No interval: the model's error is not of this sampling, and nothing here measures it. Between runs the
spread is that of finitely many episodes; between models it is a sign of the model's error and no bound
on it, for models of one log can all be wrong in the same way.

References:
    Sutton (1991), Dyna; Paduraru (2013), Off-policy evaluation in Markov decision processes, chapter 3
    (model-based evaluation); Glasserman & Yao (1992) for common random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from algorithms.ope.estimate import Estimate
from algorithms.rollouts import ActionProbabilities, draw_actions
from envs.errors import DataError

MODEL_IS_THE_WORLD = "the model of the log is the world"


def rollout_returns(
    environment: Any,
    policies: Sequence[ActionProbabilities],
    *,
    horizon: int,
    discount: float = 1.0,
    runs: int = 4,
    seed: int = 0,
) -> np.ndarray:
    """Returns of P policies in the same episodes of one vector environment, float64 (P, runs, n).

    Every policy plays run k from the same seeds: the environment draws the same numbers, and so do the
    actions, so that policies that agree stay together (common random numbers). First episodes alone
    count, as those that also end within H steps are the shorter ones.

    Args:
        environment: an offline vector environment of n episodes, whose ``info`` holds ``action_mask`` and,
            where there are raw rows, ``rows``.
        policies: raw rows (n, D), or the observed states as a column (n, 1) where there are none, and
            allowed actions, bool (n, A), to probabilities (n, A).
        horizon: H.
        discount: γ.
        runs: how often all n episodes are played.
        seed: of everything.

    Raises:
        DataError: nothing to play, or an episode is cut before the horizon.
    """
    if not len(policies) or runs < 1:
        raise DataError(f"{len(policies)} policies in {runs} runs", where="rollout_returns", remedy="give one or more")
    out = np.zeros((len(policies), runs, environment.num_envs))
    sources = np.random.SeedSequence(seed).spawn(runs)
    for position, policy in enumerate(policies):
        for run, source in enumerate(sources):
            out[position, run] = _play(environment, policy, np.random.default_rng(source), horizon, discount)
    return out


def model_rollout(
    environments: Sequence[Any],
    policies: Sequence[ActionProbabilities],
    *,
    horizon: int,
    discount: float = 1.0,
    runs: int = 4,
    seed: int = 0,
) -> list[Estimate]:
    """The value of each policy in models of a log, by playing it there. Evidence ``model``: no gate promotes by it.

    ``lower``, ``upper`` and ``confidence`` are NaN, as is the effective sample size, and ``units`` is 0:
    no logged unit was weighted. In the diagnostics:

    - ``monte_carlo_error``: standard error of the playing alone, over runs of all models;
    - ``between_run_deviation``: standard deviation of a run's mean, within a model;
    - ``between_model_deviation``, ``lowest_model``, ``highest_model``: of the models' means; NaN for one model;
    - ``gain``, ``gain_monte_carlo_error``: over the first policy, in the same luck.

    Args:
        environments: vector environments, each a model of the log (other classes, resamples, seeds).
        policies: as :func:`rollout_returns`; the first is what ``gain`` is measured against.
        horizon, discount, runs, seed: as :func:`rollout_returns`.

    Raises:
        DataError: nothing to play, or an episode is cut before the horizon.
    """
    if not len(environments):
        raise DataError("no model to play in", where="model_rollout", remedy="give one or more environments")
    returns = [
        rollout_returns(environment, policies, horizon=horizon, discount=discount, runs=runs, seed=seed)
        for environment in environments
    ]
    episodes = sum(values.shape[1] * values.shape[2] for values in returns)
    return [
        Estimate(
            value=float(np.mean([values[position].mean() for values in returns])),
            lower=math.nan,
            upper=math.nan,
            confidence=math.nan,
            estimator="model_rollout",
            effective_sample_size=math.nan,
            units=0,
            evidence="model",
            diagnostics={
                "episodes": float(episodes),
                **_spread([values[position] for values in returns]),
                "gain": float(np.mean([(values[position] - values[0]).mean() for values in returns])),
                "gain_monte_carlo_error": _error([values[position] - values[0] for values in returns]),
            },
            assumptions=(MODEL_IS_THE_WORLD, "states hold all that matters (Markov)"),
        )
        for position in range(len(policies))
    ]


def _spread(returns: list[np.ndarray]) -> dict[str, float]:
    """Figures of one policy's returns (runs, n) in each model."""
    models = [float(values.mean()) for values in returns]
    within = [float(np.var(values.mean(axis=1), ddof=1)) for values in returns if len(values) > 1]
    return {
        "monte_carlo_error": _error(returns),
        "between_run_deviation": math.sqrt(float(np.mean(within))) if within else math.nan,
        "between_model_deviation": float(np.std(models, ddof=1)) if len(models) > 1 else math.nan,
        "lowest_model": min(models),
        "highest_model": max(models),
    }


def _error(returns: list[np.ndarray]) -> float:
    """Standard error of the mean over models of the mean over episodes, for given models."""
    squares = [float(np.var(values, ddof=1)) / values.size if values.size > 1 else math.nan for values in returns]
    return math.sqrt(sum(squares)) / len(returns)


def _play(
    environment: Any, policy: ActionProbabilities, random: np.random.Generator, horizon: int, discount: float
) -> np.ndarray:
    observation, info = environment.reset(seed=int(random.integers(2**31)))
    count = environment.num_envs
    returns, going, weight = np.zeros(count), np.ones(count, dtype=bool), 1.0
    for step in range(horizon):
        rows = info["rows"] if "rows" in info else np.asarray(observation, dtype=np.float64).reshape(count, -1)
        probabilities = policy(rows, np.asarray(info["action_mask"], dtype=bool))
        actions = draw_actions(probabilities, random.random(count))
        observation, rewards, terminated, truncated, info = environment.step(actions)
        returns += weight * np.where(going, rewards, 0.0)
        cut = going & truncated & ~terminated
        if step + 1 < horizon and cut.any():
            raise DataError(
                f"an episode was cut after {step + 1} of {horizon} decisions",
                where="model_rollout",
                remedy=f"build the environment with horizon={horizon}",
            )
        going &= ~(terminated | truncated)
        weight *= discount
        if not going.any():
            break
    return returns
