"""A sweep of variants as Ray Tune trials; what is finished is on disk and is never done again.

Each trial writes its result itself, in one atomic step, so that an interrupted sweep resumes from
files of our own format: no checkpoint of Tune is unpickled, and a home may move between machines.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.errors import RetrainerError
from tune_configs.ray_session import ray_session, silence
from tune_configs.trial import TrialPlan, TrialResult, run_variant

Progress = Callable[[int, int, float], None]
"""Called with (finished trials, all trials, best score so far)."""


class SweepError(RetrainerError):
    """Trials failed; the others are kept. Names each with its cause."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a sweep brought.

    Attributes:
        trials: finished trials in the order of the plan.
        skipped: indices that the time budget left no room for.
        seconds: wall-clock time of the trials.
    """

    trials: tuple[TrialResult, ...]
    skipped: tuple[int, ...]
    seconds: float


def run_sweep(
    plan: TrialPlan, *, time_budget: float | None = None, progress: Progress | None = None, cpus: int | None = None
) -> SweepResult:
    """Run every variant of the plan that has no result yet.

    Args:
        plan: what is to be done, and the directory of results.
        time_budget: seconds after which no trial goes on; ``None`` runs them all.
        progress: told after each trial.
        cpus: processors of a local Ray; all by default.

    Raises:
        SweepError: after all others have finished, when trials failed.
    """
    started = time.monotonic()
    missing = [index for index in range(len(plan.variants)) if not plan.result_path(index).exists()]
    errors: list[str] = []
    if missing:
        errors = _tune(plan, missing, time_budget, progress, cpus)
    done = [index for index in range(len(plan.variants)) if plan.result_path(index).exists()]
    if errors:
        raise SweepError(
            f"{len(errors)} of {len(plan.variants)} trials failed: {'; '.join(errors[:3])}",
            where=f"run {plan.directory.name}",
            remedy=f"{len(done)} finished and are kept; see {plan.directory / 'tune'}",
        )
    trials = tuple(TrialResult.load(plan.result_path(index)) for index in done)
    return SweepResult(
        trials, tuple(i for i in range(len(plan.variants)) if i not in set(done)), time.monotonic() - started
    )


def _tune(
    plan: TrialPlan, missing: list[int], time_budget: float | None, progress: Progress | None, cpus: int | None
) -> list[str]:
    silence()
    from ray import tune

    reporter = _reporter(plan, progress)

    def trial(config: dict[str, Any], plan: TrialPlan) -> None:
        result = run_variant(plan, int(config["variant"]))
        tune.report({"score": result.score, "variant": result.index})

    with ray_session(cpus):
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(trial, plan=plan), {"cpu": 1}),
            param_space={"variant": tune.grid_search(missing)},
            tune_config=tune.TuneConfig(
                metric="score", mode="max", reuse_actors=True, time_budget_s=time_budget, num_samples=1
            ),
            run_config=tune.RunConfig(
                name="tune", storage_path=str(plan.directory.resolve()), verbose=0, callbacks=[reporter]
            ),
        )
        results = tuner.fit()
    causes = []
    for outcome in (results[index] for index in range(len(results))):
        if outcome.error is not None:
            cause = str(outcome.error).strip().splitlines() or [type(outcome.error).__name__]
            causes.append(f"variant {(outcome.config or {})['variant']}: {cause[-1]}")
    return causes


def _reporter(plan: TrialPlan, progress: Progress | None) -> Any:
    from ray import tune

    class Reporter(tune.Callback):
        """Passes finished trials on to the caller's progress line."""

        best = float("-inf")

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            done = sum(plan.result_path(index).exists() for index in range(len(plan.variants)))
            self.best = max(self.best, float((trial.last_result or {}).get("score", self.best)))
            if progress:
                progress(done, len(plan.variants), self.best)

    return Reporter()


def read_json(path: Path) -> Any:
    """A JSON document of a run directory."""
    return json.loads(path.read_text(encoding="utf-8"))
