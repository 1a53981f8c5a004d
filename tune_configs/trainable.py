"""What a worker does for one trial of Ray Tune: train, judge, report, and end when the sweep does."""

from __future__ import annotations

import math
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tune_configs.judged_checkpoint import JudgedCheckpoint
from tune_configs.metric import METRIC
from tune_configs.training import ITERATIONS
from tune_configs.trial import TrialRun
from tune_configs.trial_plan import TrialPlan
from tune_configs.variant import VariantSpecification

STOP_SECONDS = 0.2
"""How often is looked whether the sweep is over."""


def run_trial(plans: Sequence[TrialPlan], config: Mapping[str, Any]) -> None:
    """Run the trial of a configuration, reporting each judged checkpoint; its result is on disk before the last."""
    from ray import tune

    asked = config["trial"]
    plan = plans[asked["plan"]]
    with ExitStack() as stack:
        before = tune.get_checkpoint()
        resume = None if before is None else Path(stack.enter_context(before.as_directory()))
        run = TrialRun(plan, asked["index"], VariantSpecification.from_json(asked["variant"]), resume)
        for judged in _until_stopped(run.checkpoints(), plan.stop_path):
            figures = report(judged, done=plan.result_path(asked["index"]).exists())
            if plan.strategy.scheduler == "pbt" and not figures["done"]:
                with tempfile.TemporaryDirectory() as directory:
                    run.save(Path(directory))
                    tune.report(figures, checkpoint=tune.Checkpoint.from_directory(directory))
            else:
                tune.report(figures)
            if figures["done"]:
                return
    # The sweep is over; Tune wants a last word.
    tune.report({METRIC: -math.inf, "iteration": ITERATIONS, "done": True})


def report(judged: JudgedCheckpoint, *, done: bool) -> dict[str, Any]:
    """What Tune is told of a checkpoint: flat scalars, each of them finite."""
    used = {name: value for name, value in judged.hyperparameters.items() if isinstance(value, int | float)}
    figures = {
        METRIC: judged.metric,
        "iteration": judged.iteration,
        "score": judged.score,
        "model_gain": judged.model_gain,
        **{f"training/{name}": value for name, value in judged.statistics.items()},
        **{f"hyperparameters/{name}": float(value) for name, value in used.items()},
        "hyperparameters/step": judged.variant.step,
    }
    return {**{name: value for name, value in figures.items() if math.isfinite(value)}, "done": done}


def _until_stopped(checkpoints: Iterator[JudgedCheckpoint], stop: Path) -> Iterator[JudgedCheckpoint]:
    """The checkpoints until the sweep is over, which a trial hears at once: Tune itself would wait for its next one.

    Each is made in a thread of its own while this one listens, and none while Tune decides about the last.
    """
    while True:
        found: list[JudgedCheckpoint | BaseException | None] = []

        def work(found: list[JudgedCheckpoint | BaseException | None] = found) -> None:
            try:
                found.append(next(checkpoints, None))
            except BaseException as error:
                found.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        while thread.is_alive() and not stop.exists():
            thread.join(STOP_SECONDS)
        outcome = found[0] if found else None
        if isinstance(outcome, BaseException):
            raise outcome
        if outcome is None:
            return
        yield outcome
