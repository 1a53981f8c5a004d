"""The report page of a run, from what the run has kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ai_engine.gate_result import GateResult
from ai_engine.reports import ReportDocument, write_report
from ai_engine.self_test import KEPT_DOCUMENT, kept_placebo, placebo_section
from ai_engine.text import signed
from ai_engine.tune_result import TuneResult
from ai_engine.workspace import Workspace
from algorithms.policy.provenance import plain_json
from envs.dataset import SPLIT_NAMES
from envs.storage import LocalStorage


def write_run_report(
    workspace: Workspace,
    directory: Path,
    tuned: TuneResult,
    gate: GateResult | None = None,
    *,
    seed: int = 0,
    reveal: Sequence[dict[str, Any]] = (),
    created: str = "",
    command: str = "",
) -> Path:
    """Write ``report.html`` into a run's folder, beside it what it says, and return its path."""
    card, dataset = workspace.card(), workspace.dataset
    sizes = {name: int((dataset.splits == code).sum()) for name, code in SPLIT_NAMES.items()}
    document = {
        "title": f"{workspace.name}: what this log can prove",
        "created": created,
        "sentence": _sentence(tuned, gate),
        "agent": workspace.name,
        "run": tuned.run,
        "seed": seed,
        "figures": {
            "decisions": len(dataset),
            "episodes": dataset.episode_count,
            "horizon": workspace.specification.horizon,
            **{f"{name} episodes": size for name, size in sizes.items()},
            "mean return of the log": _mean_return(workspace),
            "exploration share": card.figures.get("exploration_share", workspace.specification.explore),
            "champion judged against": tuned.champion,
        },
        "card": card.to_json(),
        "variants": [
            {
                **{
                    name: getattr(variant, name)
                    for name in ("algorithm", "hyperparameters", "seeds", "step", "model_gain")
                },
                "version": variant.version or f"#{variant.index}",
                "estimate": asdict(variant.estimate),
                "gain": asdict(variant.gain),
                "curve": asdict(variant.curve),
                "finalist": variant.version in tuned.finalists and bool(variant.version),
                "recommended": variant.index == tuned.recommended_index,
            }
            for variant in tuned.variants
        ],
        "gate": gate.to_json() if gate else None,
        "placebo": placebo_section(workspace.name, kept_placebo(workspace.home, workspace.specification)),
        "actions": {
            "names": [str(a) for a in workspace.specification.actions],
            "series": _shares(workspace, tuned, gate),
        },
        "reveal": list(reveal),
        "command": command or f"retrainer gate {workspace.name}",
    }
    path, said = directory / "report.html", ReportDocument.from_json(plain_json(document))
    write_report(said, path)
    LocalStorage(directory).replace(KEPT_DOCUMENT, json.dumps(said.to_json()).encode())
    return path


def _mean_return(workspace: Workspace) -> float:
    dataset = workspace.dataset
    inside = dataset.steps < workspace.specification.horizon
    discounts = workspace.specification.discount**dataset.steps
    return float((dataset.rewards * discounts * inside).sum() / max(dataset.episode_count, 1))


def _sentence(tuned: TuneResult, gate: GateResult | None) -> str:
    if gate is None:
        whom = f"{tuned.recommended} is recommended (evidence: {tuned.evidence}){tuned.reservation}"
        return f"{whom}; no gate has judged yet."
    if gate.decision == "promote" and gate.estimate:
        gain = signed(gate.estimate.value)
        return f"{gate.version} is proven better than {gate.champion} by {gain} a return.{gate.warning}"
    return f"{gate.decision}: {gate.reason}."


def _shares(workspace: Workspace, tuned: TuneResult, gate: GateResult | None) -> list[dict[str, Any]]:
    """How often each policy takes each action on ``select``."""
    dataset = workspace.dataset.split("select")
    counts = np.bincount(dataset.actions, minlength=len(workspace.specification.actions))
    series = [{"policy": "the log", "shares": (counts / max(counts.sum(), 1)).tolist()}]
    for variant in tuned.variants:
        if variant.index == tuned.recommended_index:
            series.append({"policy": f"recommended {variant.version}", "shares": list(variant.actions)})
        elif gate and variant.version == gate.version:
            series.append({"policy": f"{gate.decision} {variant.version}", "shares": list(variant.actions)})
    return series
