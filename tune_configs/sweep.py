"""Sweeps of variants as Ray Tune trials; what is finished is on disk and is never done again.

Each trial writes its result itself, in one atomic step, so that an interrupted sweep resumes from
files of our own format: no checkpoint of Tune is unpickled, and a home may move between machines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envs.errors import RetrainerError
from tune_configs.metric import METRIC
from tune_configs.ray_session import ray_session, silence
from tune_configs.resources import check_disk, check_resources, cluster_nodes
from tune_configs.time_budget import TimeBudget
from tune_configs.trainable import STOP_SECONDS, run_trial
from tune_configs.trial_plan import TrialPlan
from tune_configs.trial_result import TrialResult

if TYPE_CHECKING:
    from ray.tune import Result

Progress = Callable[[int, int, float], None]
"""Called with (finished trials, all trials, best score so far); of all plans together."""
KEPT_CHECKPOINTS = 4
"""Of each member of a population; another may still be reading an older one."""


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
    if isinstance(time_budget, (int, float)):
        time_budget = TimeBudget(started, time_budget, concludes=False)
    missing = any(plan.missing() for plan in plans)
    errors = _tune(plans, time_budget, progress, cpus) if missing else {}
    seconds = time.monotonic() - started
    return tuple(_outcome(plan, errors.get(number, []), seconds) for number, plan in enumerate(plans))


def _outcome(plan: TrialPlan, errors: list[str], seconds: float) -> SweepResult | SweepError:
    skipped, results = plan.missing(), plan.results()
    if errors:
        return SweepError(
            f"{len(errors)} of {plan.count} trials failed: {'; '.join(errors[:3])}",
            where=f"run {plan.directory.name}",
            remedy=f"{len(results)} finished and are kept",
        )
    return SweepResult(tuple(results), tuple(skipped), seconds)


def _tune(
    plans: Sequence[TrialPlan], budget: TimeBudget | None, progress: Progress | None, cpus: int | None
) -> dict[int, list[str]]:
    """Causes of failed trials by the number of their plan."""
    started = time.monotonic()
    silence()
    from ray import tune

    first, reporter = plans[0], _reporter(plans, progress)
    strategy = first.strategy
    first.stop_path.unlink(missing_ok=True)
    check_disk(first.directory)

    def trial(config: dict[str, Any], plans: Sequence[TrialPlan]) -> None:
        run_trial(plans, config)

    with ray_session(cpus):
        check_resources(strategy.resources, cluster_nodes())
        if budget is not None:
            budget.start_up = time.monotonic() - started
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(trial, plans=tuple(plans)),
                tune.PlacementGroupFactory([dict(strategy.resources)]),
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(first.directory.resolve()),
                verbose=0,
                callbacks=[reporter],
                checkpoint_config=tune.CheckpointConfig(num_to_keep=KEPT_CHECKPOINTS),
                stop=None if budget is None else _stopper(first, budget),
            ),
            **_drawn(plans),
        )
        results = tuner.fit()
    first.stop_path.unlink(missing_ok=True)
    return causes_of([results[index] for index in range(len(results))], plans)


def causes_of(outcomes: Sequence[Result], plans: Sequence[TrialPlan]) -> dict[int, list[str]]:
    """Why trials failed, by the number of their plan.

    A trial whose process died before it began (for lack of memory, say) does not know what it was asked for: it is
    one of a plan that has results missing.
    """
    causes: dict[int, list[str]] = {}
    lacking = {(number, index) for number, plan in enumerate(plans) for index in plan.missing()}
    nameless: list[str] = []
    for outcome in outcomes:
        if outcome.error is None:
            continue
        cause = (str(outcome.error).strip().splitlines() or [type(outcome.error).__name__])[-1]
        asked = (outcome.config or {}).get("trial")
        if asked is None:
            nameless.append(f"a variant that did not begin: {cause}")
        else:
            causes.setdefault(asked["plan"], []).append(f"variant {asked['index']}: {cause}")
            lacking.discard((asked["plan"], asked["index"]))
    for (number, _), cause in zip(sorted(lacking), nameless, strict=False):
        causes.setdefault(number, []).append(cause)
    return causes


def _drawn(plans: Sequence[TrialPlan]) -> Mapping[str, Any]:
    """The arguments of Tune that say which variants are tried, and which of them go on."""
    from ray import tune

    from tune_configs.schedulers import scheduler_of
    from tune_configs.suggestions import Suggestions, asked

    first = plans[0]
    assert len(plans) == 1 or all(plan.strategy == first.strategy and plan.tree is None for plan in plans)
    common: dict[str, Any] = {"metric": METRIC, "mode": "max", "reuse_actors": True}
    if first.tree is not None:
        tuning = tune.TuneConfig(
            search_alg=Suggestions(first), num_samples=len(first.missing()), scheduler=scheduler_of(first), **common
        )
        return {"tune_config": tuning}
    # All plans' first variants, then the second: what two workers do at once has no training in common.
    turns = sorted((index, number) for number, plan in enumerate(plans) for index in plan.missing())
    trials = [asked(number, index, plans[number].variants[index])["trial"] for index, number in turns]
    tuning = tune.TuneConfig(num_samples=1, scheduler=scheduler_of(first), **common)
    return {"param_space": {"trial": tune.grid_search(trials)}, "tune_config": tuning}


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
            for index in range(plan.count):
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

        best = max((trial.score for plan in plans for trial in plan.results()), default=float("-inf"))

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            count = sum(plan.count for plan in plans)
            done = count - sum(len(plan.missing()) for plan in plans)
            asked = trial.config["trial"]
            path = plans[asked["plan"]].result_path(asked["index"])
            if path.exists():
                self.best = max(self.best, TrialResult.load(path).score)
            if progress:
                progress(done, count, self.best)

    return Reporter()
