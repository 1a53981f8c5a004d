"""Sweeps of variants as Ray Tune trials; what is finished is on disk and is never done again.

Each trial writes its result itself, in one atomic step, so that an interrupted sweep resumes from
files of our own format: no checkpoint of Tune is unpickled, and a home may move between machines.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from envs.errors import RetrainerError
from tune_configs.ray_session import ray_session, silence
from tune_configs.time_budget import TimeBudget
from tune_configs.trial import TrialPlan, TrialResult, run_variant

Progress = Callable[[int, int, float], None]
"""Called with (finished trials, all trials, best score so far); of all plans together."""


STOP_SECONDS = 0.2
"""How often is looked whether the sweep is over."""


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


def run_sweeps(
    plans: Sequence[TrialPlan],
    *,
    time_budget: TimeBudget | float | None = None,
    progress: Progress | None = None,
    cpus: int | None = None,
) -> tuple[SweepResult | SweepError, ...]:
    """Run every variant of each plan that has no result yet, all as the trials of one Tune experiment.

    Starting workers and loading RLlib in them costs more than a quick trial does, so that several
    agents share them.

    Args:
        plans: what is to be done, and the directories of results.
        time_budget: of a single plan: what ends the trials, or the seconds after which none goes on;
            ``None`` runs them all. Trials that run then are left; there is always time for one result.
        progress: told after each trial.
        cpus: processors of a local Ray; all by default.

    Returns:
        For each plan its result, or, where trials of it failed, the error that names them; all others
        have finished then.
    """
    started = time.monotonic()
    # All plans' first variants, then the second: what two workers do at once has no training in common.
    missing = sorted(((number, index) for number, plan in enumerate(plans) for index in plan.missing()), key=_turn)
    if isinstance(time_budget, (int, float)):
        time_budget = TimeBudget(started, time_budget, concludes=False)
    errors = _tune(plans, missing, time_budget, progress, cpus) if missing else {}
    seconds = time.monotonic() - started
    return tuple(_outcome(plan, errors.get(number, []), seconds) for number, plan in enumerate(plans))


def _turn(trial: tuple[int, int]) -> tuple[int, int]:
    number, index = trial
    return index, number


def _outcome(plan: TrialPlan, errors: list[str], seconds: float) -> SweepResult | SweepError:
    skipped = plan.missing()
    done = [index for index in range(len(plan.variants)) if index not in skipped]
    if errors:
        return SweepError(
            f"{len(errors)} of {len(plan.variants)} trials failed: {'; '.join(errors[:3])}",
            where=f"run {plan.directory.name}",
            remedy=f"{len(done)} finished and are kept",
        )
    return SweepResult(tuple(TrialResult.load(plan.result_path(index)) for index in done), tuple(skipped), seconds)


def _tune(
    plans: Sequence[TrialPlan],
    missing: list[tuple[int, int]],
    budget: TimeBudget | None,
    progress: Progress | None,
    cpus: int | None,
) -> dict[int, list[str]]:
    """Causes of failed trials by the number of their plan."""
    started = time.monotonic()
    silence()
    from ray import tune

    first, reporter, timed = plans[0], _reporter(plans, progress), budget is not None
    first.stop_path.unlink(missing_ok=True)

    def trial(config: dict[str, Any], plans: Sequence[TrialPlan]) -> None:
        number, index = config["variant"]
        plan = plans[number]
        result = _unless_stopped(run_variant, plan, index) if timed else run_variant(plan, index)
        tune.report({"score": result.score if result else float("-inf"), "variant": index})

    with ray_session(cpus):
        if budget is not None:
            budget.start_up = time.monotonic() - started
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(trial, plans=tuple(plans)), {"cpu": 1}),
            param_space={"variant": tune.grid_search(missing)},
            tune_config=tune.TuneConfig(metric="score", mode="max", reuse_actors=True, num_samples=1),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(first.directory.resolve()),
                verbose=0,
                callbacks=[reporter],
                stop=None if budget is None else _stopper(first, budget),
            ),
        )
        results = tuner.fit()
    first.stop_path.unlink(missing_ok=True)
    causes: dict[int, list[str]] = {}
    for outcome in (results[index] for index in range(len(results))):
        if outcome.error is not None:
            cause = str(outcome.error).strip().splitlines() or [type(outcome.error).__name__]
            number, index = (outcome.config or {})["variant"]
            causes.setdefault(number, []).append(f"variant {index}: {cause[-1]}")
    return causes


def _unless_stopped(run: Callable[[TrialPlan, int], TrialResult], plan: TrialPlan, index: int) -> TrialResult | None:
    """The trial's result, or ``None`` as soon as the sweep is over: Tune itself would wait for the trial's end."""
    outcome: list[TrialResult | BaseException] = []

    def work() -> None:
        try:
            outcome.append(run(plan, index))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive() and not plan.stop_path.exists():
        thread.join(STOP_SECONDS)
    found = outcome[0] if outcome else None
    if isinstance(found, BaseException):
        raise found
    return found


def _stopper(plan: TrialPlan, budget: TimeBudget) -> Any:
    from ray import tune

    class Deadline(tune.Stopper):
        """Ends all trials when the time left is what concluding will take."""

        def __init__(self) -> None:
            self.finished: dict[int, TrialResult] = {}
            self.looked = 0.0

        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            return False

        def stop_all(self) -> bool:
            if time.monotonic() < self.looked + STOP_SECONDS:
                return False
            self.looked = time.monotonic()
            for index in range(len(plan.variants)):
                if index not in self.finished and plan.result_path(index).exists():
                    self.finished[index] = TrialResult.load(plan.result_path(index))
            if not budget.spent(tuple(self.finished.values())):
                return False
            plan.stop_path.touch()
            return True

    return Deadline()


def _reporter(plans: Sequence[TrialPlan], progress: Progress | None) -> Any:
    from ray import tune

    class Reporter(tune.Callback):
        """Passes finished trials on to the caller's progress line."""

        best = float("-inf")

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            count = sum(len(plan.variants) for plan in plans)
            done = count - sum(len(plan.missing()) for plan in plans)
            self.best = max(self.best, float((trial.last_result or {}).get("score", self.best)))
            if progress:
                progress(done, count, self.best)

    return Reporter()
