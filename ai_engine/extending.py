"""Further variants for a sweep that has finished."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ai_engine.runs import FINISHED, Run
from ai_engine.sweep_plan import plan_of
from ai_engine.tune_request import TuneRequest
from ai_engine.workspace import Workspace
from algorithms.policy.provenance import plain_json
from envs.declaration import to_table
from envs.errors import DataError


def extend(workspace: Workspace, run: Run, add: int) -> None:
    """Ask for further variants of a finished run: those that its time left no room for, then new ones.

    Raises:
        DataError: it has not finished, the log or the champion has changed, or nothing can be added.
    """
    where = f"run {run.identifier}"
    if add < 1:
        raise DataError(f"{add} trials", where=where, remedy="add at least one")
    if run.status != FINISHED:
        raise DataError(f"is {run.status}", where=where, remedy="resume it first, then add to it")
    _check_comparable(workspace, run)
    kept = run.record["request"]
    request = TuneRequest.from_json(kept)
    if request.strategy.scheduler == "pbt":
        remedy = f"run retrainer tune {workspace.name} with more trials"
        raise DataError("a population takes no members after its end", where=where, remedy=remedy)
    assert request.space is not None
    longer = replace(request, trials=request.count + add)
    variants = longer.variants(workspace.dataset, request.space)
    count = longer.count if request.strategy.search == "tpe" else len(variants)
    left = replace(plan_of(run), variants=variants, trials=count).missing()
    if not left:
        raise DataError("the search space has nothing new", where=where, remedy="tune with another space")
    finished = set(range(count)) - set(left)
    trials = 1 + max(*finished, *left[:add])
    listed = [variant.to_json() for variant in variants[:trials]]
    run.update(request={**kept, "variants": listed, "trials": trials, "time_budget": None})
    (run.path / "gate.json").unlink(missing_ok=True)  # it was about fewer variants; the ledger remembers it


def _check_comparable(workspace: Workspace, run: Run) -> None:
    for what, then, now in (
        (_changed(workspace, run), run.record["dataset"], workspace.dataset.identifier),
        ("champion", run.record["champion"], workspace.champion().version),
    ):
        if then != now:
            raise DataError(
                f"the {what} has changed since: what is judged now could not be compared with what was judged then",
                where=f"run {run.identifier}",
                remedy=f"run retrainer tune {workspace.name}",
            )


def _changed(workspace: Workspace, run: Run) -> str:
    """What another dataset comes from: the keys of the declaration that differ, else the log."""
    now: dict[str, Any] = plain_json(to_table(workspace.specification))
    then: dict[str, Any] | None = run.record.get("declaration")
    if then is None:  # of a run before declarations were kept with it
        return "log or its declaration"
    keys = [key for key in {**now, **then} if now.get(key) != then.get(key)]
    return f"declaration ({', '.join(keys)})" if keys else "log"
