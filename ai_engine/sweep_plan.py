"""What a sweep's trials read, in the folder of its run, and the plan that they follow."""

from __future__ import annotations

from ai_engine.runs import Run
from ai_engine.tune_request import TuneRequest
from ai_engine.workspace import Workspace
from algorithms.on_log import probabilities_on
from envs.columns import save_columns
from envs.dataset import SELECT
from envs.declaration import to_table
from envs.storage import LocalStorage
from tune_configs.trial_plan import TrialPlan
from tune_configs.variant import VariantSpecification

CHAMPION, DATASET = "champion.json", "dataset"
FRESH_SELECT_UNITS = 100
"""With at least so many select episodes since the last gate, variants are judged on those alone."""


def prepare(workspace: Workspace, run: Run) -> None:
    """Write what the trials read: train and select (never final), and last, as a sign of it, the champion.

    A run that was prepared before is judged on the same episodes again, whatever gates there were in between.

    Raises:
        DataError: the champion's probabilities are not known everywhere.
    """
    champion = workspace.champion()
    dataset = workspace.dataset.split("train", "select")
    probabilities_on(dataset, champion)  # every trial would end so, once the workers have started
    since = workspace.registry.looks(workspace.name).final_sequence
    fresh = (dataset.splits == SELECT) & (dataset.sequences > since)
    save_columns(dataset, run.path / DATASET)
    run.update(
        champion=champion.version,
        dataset=workspace.dataset.identifier,
        declaration=to_table(workspace.specification),  # part of the dataset's identifier: what changed can be named
        since=run.record.get("since", since if fresh.sum() >= FRESH_SELECT_UNITS else 0),
    )
    LocalStorage(run.path).replace(CHAMPION, champion.to_bytes())


def is_prepared(run: Run) -> bool:
    """Whether the trials have what they read."""
    return (run.path / CHAMPION).is_file() and (run.path / DATASET).is_dir()


def plan_of(run: Run) -> TrialPlan:
    """The plan that a run's record describes."""
    kept = run.record["request"]
    request = TuneRequest.from_json(kept)
    return TrialPlan(
        directory=run.path,
        dataset=run.path / DATASET,
        champion=run.path / CHAMPION,
        variants=tuple(VariantSpecification.from_json(item) for item in kept["variants"]),
        seed=request.seed,
        grade=str(kept["grade"]),
        since=int(run.record["since"]),
        strategy=request.strategy,
        space=request.space,
        repeats=request.seeds,
        trials=request.trials,
    )
