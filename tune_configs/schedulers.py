"""Ray Tune's schedulers with what a sweep of ours needs of them. Importing this imports Ray."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining, TrialScheduler

from tune_configs.population import Changes
from tune_configs.strategy import PERTURBATION
from tune_configs.training import ITERATIONS
from tune_configs.trial_plan import TrialPlan
from tune_configs.variant import VariantSpecification

TIME = "iteration"
"""The report that schedulers count by."""
REDUCTION = 3
"""Of the trials that come to a rung, about one in so many goes on."""
QUANTILE = 0.25
"""Share of a population that takes over from the same share of its best."""


def scheduler_of(plan: TrialPlan) -> TrialScheduler | None:
    """The scheduler of a plan's strategy, ``None`` for Tune's own order."""
    if plan.strategy.scheduler == "asha":
        return Halving(plan)
    if plan.strategy.scheduler == "pbt":
        return Population(Changes() if plan.space is None else Changes.of(plan.space), plan.seed)
    return None


class Halving(ASHAScheduler):
    """Asynchronous successive halving (Li et al. 2020), at the first checkpoints from iterations 1 and 3 on.

    A trial that is ended early counts with what was judged of it until then.
    """

    def __init__(self, plan: TrialPlan) -> None:
        super().__init__(time_attr=TIME, max_t=ITERATIONS, grace_period=1, reduction_factor=REDUCTION)
        self._plan = plan

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Ray's decision; the trial's result becomes final where it is to stop."""
        decision: str = super().on_trial_result(tune_controller, trial, result)
        if decision == TrialScheduler.STOP:
            index = trial.config["trial"]["index"]
            target = self._plan.result_path(index)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                os.replace(self._plan.unfinished_path(index), target)
        return decision


class Population(PopulationBasedTraining):
    """Population based training in step: all members come to an iteration before any of them is compared.

    Ray's own waits for ever for a member that failed on the way, and changes flat configurations only.
    """

    def __init__(self, changes: Changes, seed: int) -> None:
        super().__init__(
            time_attr=TIME,
            perturbation_interval=PERTURBATION,
            quantile_fraction=QUANTILE,
            custom_explore_fn=_unused,
            log_config=False,
            synch=True,
        )
        self._changes, self._rng = changes, np.random.default_rng(seed)
        self._failed: set[Any] = set()

    def _get_new_config(self, trial: Any, trial_to_clone: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The better member's variant, changed; the trial stays who it is."""
        better = VariantSpecification.from_json(trial_to_clone.config["trial"]["variant"])
        variant = self._changes.changed(better, self._rng)
        return {"trial": {**trial.config["trial"], "variant": variant.to_json()}}, {}

    def _checkpoint_or_exploit(self, *arguments: Any, **keywords: Any) -> None:
        """Ray's, its choice among the best by our seed."""
        state = random.getstate()
        random.seed(int(self._rng.integers(2**32)))
        try:
            super()._checkpoint_or_exploit(*arguments, **keywords)
        finally:
            random.setstate(state)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Ray's decision, which a failed member does not hold up."""
        self._pass_over_failed()
        decision: str = super().on_trial_result(tune_controller, trial, result)
        return decision

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Let the others go on where they were waiting for this one alone; their comparison is left out once."""
        super().on_trial_error(tune_controller, trial)
        self._failed.add(trial)
        self._pass_over_failed()
        if all(self._trial_state[each].last_train_time >= self._next_perturbation_sync for each in self._waited_for()):
            self._next_perturbation_sync += PERTURBATION

    def _waited_for(self) -> list[Any]:
        return [each for each in self._trial_state if each not in self._failed and not each.is_finished()]

    def _pass_over_failed(self) -> None:
        """Ray counts a failed member among the live ones, and would wait for it."""
        for trial in self._failed:
            self._trial_state[trial].last_train_time = int(self._next_perturbation_sync)


def _unused(config: dict[str, Any]) -> dict[str, Any]:
    return config
