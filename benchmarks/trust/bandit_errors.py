"""Relative errors on OBP's own set-ups, beside OBP's: the same logs, each with its own model of rewards.

On "synthetic" the truth is that of the log's own contexts, so that only the luck of actions and rewards is left, and no
model saves much of it: over 150 logs the difference of two models' DR has a standard error of 2 %, as large as what the
models save. What they are expected to save, without that luck, is in the rows of ``expected_errors``.
"""

from __future__ import annotations

import numpy as np

from algorithms.ope.cross_fitting import cross_fit
from algorithms.ope.model_classes import evaluation_models
from algorithms.ope.padding import trajectories_from
from algorithms.ope.registry import ESTIMATORS
from benchmarks.rows import Row
from benchmarks.trust import peers
from benchmarks.trust.request import Piece, Request, sizes_of
from envs.dataset import TRAIN, Dataset
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification

SETUPS = ("digits", "synthetic")
COUNTERPARTS = {
    "direct_method": "dm",
    "ips": "ipw",
    "snips": "snipw",
    "doubly_robust": "dr",
    "weighted_doubly_robust": "sndr",
    "switch_doubly_robust": "switch-dr",
    "doubly_robust_shrinkage": "dr-os",
}
"""Where OBP needs a setting, ours chooses one from the log: the counterpart is what OBP's tuning classes choose from
the log, and the best of its settings in hindsight, which nobody can choose, stands beside it under a goal of its own.
"""
TUNED = "tuned"
FOLDS = 3
"""As in OBP's examples."""
LARGEST_ON_DIGITS = 0.02
PIECE = 5
ROUNDING = 1e-9
GOAL = "mean relative error at most that of OBP's counterpart on the same logs"
HINDSIGHT = "mean relative error at most that of OBP's counterpart at its best setting in hindsight"


def measure(request: Request) -> list[Row]:
    """A row for each set-up, estimator and anchor, with the paired difference's standard error; the limit on digits."""
    runs = request.count(quick=1, full=500)
    pieces = request.pieces("bandit-errors", sizes_of(runs, PIECE), piece)
    rows = []
    for setup in SETUPS:
        ours, theirs = (mean_errors(pieces, setup, whose) for whose in ("ours", "obp"))
        for estimator, counterpart in COUNTERPARTS.items():
            for peer, goal in anchors(counterpart, theirs):
                error, beside = ours[estimator], theirs[peer]
                holds = error <= beside * (1 + ROUNDING)
                noise = np.subtract(*(errors_of(pieces, setup, *one) for one in (("ours", estimator), ("obp", peer))))
                metric = f"{estimator}: error (difference ± {standard_error(noise):.2g})"
                rows.append(Row(setup, metric, "relative", error, f"OBP {peer}", beside, goal, holds))
        if setup == "digits":
            error, goal = ours["doubly_robust"], f"at most {LARGEST_ON_DIGITS} on digits"
            holds = error <= LARGEST_ON_DIGITS
            rows.append(Row(setup, "doubly_robust: error", "relative", error, "limit", LARGEST_ON_DIGITS, goal, holds))
    return rows


def anchors(counterpart: str, errors: dict[str, float]) -> list[tuple[str, str]]:
    """OBP's estimators of that name that ours stands beside, with the goal, from their errors by name and setting."""
    settings = [name for name in errors if name.split()[0] == counterpart and not name.endswith(TUNED)]
    best = min(settings, key=lambda name: errors[name])
    tuned = f"{counterpart} {TUNED}"
    return [(tuned, GOAL), (best, HINDSIGHT)] if tuned in errors else [(best, GOAL)]


def mean_errors(pieces: list[Piece], setup: str, whose: str) -> dict[str, float]:
    """Mean relative error over the runs of all pieces, by estimator."""
    names = pieces[0][setup][whose]
    return {name: float(errors_of(pieces, setup, whose, name).mean()) for name in names}


def errors_of(pieces: list[Piece], setup: str, whose: str, name: str) -> np.ndarray:
    """Relative error of an estimator in each run, float64 (R,)."""
    return np.concatenate([each[setup][whose][name] for each in pieces])


def standard_error(differences: np.ndarray) -> float:
    """Of the mean of paired differences (R,); NaN of a single one."""
    return float(differences.std(ddof=1) / np.sqrt(len(differences))) if len(differences) > 1 else float("nan")


def piece(index: int, runs: int) -> Piece:
    """Relative errors of ours and of OBP's on some runs of each set-up."""
    found = peers.run("bandit_setups", {"first": np.array(index * PIECE), "runs": np.array(runs)})
    errors: Piece = {setup: {"ours": {}, "obp": {}} for setup in SETUPS}
    for setup in SETUPS:
        names = [str(name) for name in found[f"{setup}/names"]]
        for run in range(runs):
            part = {key: found[f"{setup}/{run}/{key}"] for key in ("context", "action", "reward", "pscore", "target")}
            truth = float(found[f"{setup}/{run}/truth"])
            ours = our_estimates(**part)
            theirs = dict(zip(names, found[f"{setup}/{run}/estimates"].tolist(), strict=True))
            for whose, estimates in (("ours", ours), ("obp", theirs)):
                for name, value in estimates.items():
                    errors[setup][whose].setdefault(name, []).append(abs(value - truth) / abs(truth))
    return errors


def our_estimates(
    context: np.ndarray, action: np.ndarray, reward: np.ndarray, pscore: np.ndarray, target: np.ndarray
) -> dict[str, float]:
    """The estimators that have a counterpart, on one log of single decisions; refused ones by force.

    Args:
        context: float64 (n, D).
        action: int64 (n,).
        reward: float64 (n,).
        pscore: float64 (n,), the logged propensities.
        target: float64 (n, A), the policy that is valued.
    """
    dataset = single_decisions(context, action, reward, pscore, target.shape[1])
    on_rows = np.repeat(target, 2, axis=0)  # each decision's row and that of its end, which is not read
    q, v = cross_fitted(dataset, on_rows[None])
    path = trajectories_from(dataset, target, q=q[0], v=v[0])
    return {name: ESTIMATORS[name](path, force=True).value for name in COUNTERPARTS}


def cross_fitted(dataset: Dataset, policies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Q̂ (P, n, 1) and V̂ (P, n, 2) of policies at all rows, (P, 2n, A), by the model that the gate uses."""
    every = np.ones(dataset.episode_count, dtype=bool)
    model = next(iter(evaluation_models(dataset, every).values()))
    return cross_fit(model, dataset, policies, evaluated=every, folds=FOLDS)


def single_decisions(
    context: np.ndarray, action: np.ndarray, reward: np.ndarray, pscore: np.ndarray, choices: int
) -> Dataset:
    """A log of bandit decisions on vectors as a dataset."""
    count, size = context.shape
    fields = tuple(
        ObservationField(f"x{column}", "number", float(values.min()), float(values.max()))
        for column, values in enumerate(context.T)
    )
    specification = AgentSpecification(
        "bandit",
        ObservationSpecification("vector", fields),
        tuple(f"a{each}" for each in range(choices)),
        reward_range=(0.0, 1.0),
        horizon=1,
    )
    observations = np.zeros((2 * count, size))
    observations[0::2] = observations[1::2] = context
    probabilities = np.full((count, choices), np.nan)
    probabilities[np.arange(count), action] = pscore
    return Dataset(
        specification=specification,
        identifier="bandit",
        offsets=np.arange(count + 1),
        observations=observations,
        allowed=np.ones((2 * count, choices), dtype=bool),
        actions=action.astype(np.int64),
        propensities=pscore,
        action_probabilities=probabilities,
        root_probabilities=np.full((2 * count, choices), np.nan),
        rewards=reward.astype(np.float64),
        worst=np.zeros(count, dtype=bool),
        terminated=np.ones(count, dtype=bool),
        truncated=np.zeros(count, dtype=bool),
        end_known=np.zeros(count, dtype=bool),
        timestamps=np.full(count, np.nan),
        policy_versions=np.full(count, specification.rule_version),
        units=np.char.mod("%07d", np.arange(count)),
        splits=np.full(count, TRAIN, dtype=np.int8),
        sequences=np.arange(count),
    )
