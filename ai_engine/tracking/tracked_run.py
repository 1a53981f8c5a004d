"""What trackers are told of a run, read from what the run has kept. Telling it again tells the same."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ai_engine.deploy.registry import Registry
from ai_engine.runs import FINISHED, Run
from algorithms.policy import Policy
from algorithms.policy.provenance import plain_json
from envs.errors import RegistryError
from tune_configs.judged_checkpoint import JudgedCheckpoint
from tune_configs.trial_result import TrialResult

VERSION_KEY = re.compile(r"(\d+)( last| again)?")
NOTES = {
    " last": "what the whole training came to, where the best checkpoint is another",
    " again": "trained once more after its choice; the figures are those of the trial that was chosen",
}
Parameter = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Point:
    """A figure at a training iteration."""

    name: str
    value: float
    step: int


@dataclass(frozen=True, slots=True)
class TrackedEntry:
    """A trial, or a policy that came of one.

    Attributes:
        key: names it in its run, and never another.
        name: for people.
        parameters: algorithm, step, seeds and hyperparameters as they were in use; they never change.
        points: figures, one of a name and step.
        tags: what may change.
        artefact: file of its policy.
        version: of the agent, empty where it was not kept as one.
        seconds: that it took.
    """

    key: str
    name: str
    parameters: Mapping[str, Parameter]
    points: tuple[Point, ...]
    tags: Mapping[str, str]
    artefact: Path
    version: str = ""
    seconds: float = 0.0

    @property
    def digest(self) -> str:
        """SHA-256 of all that is told; where the home is makes no difference."""
        told = (self.name, dict(self.parameters), [_plain(point) for point in self.points], dict(self.tags))
        return _sha256([*told, self.artefact.name, self.version])


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A run with its trials.

    Attributes:
        identifier: its name.
        agent: whose run.
        status: as :attr:`Run.status` says.
        started: milliseconds since 1970.
        ended: the same, of its last change.
        parameters: what was asked for and never changes.
        points: figures of its recommendation, and the number of trials.
        tags: what may change.
        entries: its trials, and the policies that came of them.
    """

    identifier: str
    agent: str
    status: str
    started: int
    ended: int
    parameters: Mapping[str, Parameter]
    points: tuple[Point, ...]
    tags: Mapping[str, str]
    entries: tuple[TrackedEntry, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of all that is told of the run and its entries."""
        own = (self.status, dict(self.parameters), [_plain(point) for point in self.points], dict(self.tags))
        return _sha256([*own, [entry.digest for entry in self.entries]])


def tracked_run(run: Run, registry: Registry) -> TrackedRun:
    """A sweep or a training as its files tell it.

    Raises:
        RegistryError: a file of the run is damaged; names it.
    """
    record, request = run.record, run.record["request"]
    result = run.read("result.json") or {}
    tags = {**_own_tags(run), "kind": str(record["kind"]), "status": run.status}
    entries = tuple(_trials(run, registry, result) if record["kind"] == "tune" else _training(run, registry, result))
    parameters = {name: request[name] for name in ("seed", "seeds", "refit_all") if name in request}
    parameters |= {name: str(request["strategy"][name]) for name in ("search", "scheduler") if "strategy" in request}
    points: tuple[Point, ...] = (Point("trials", float(sum(entry.key.isdigit() for entry in entries)), 0),)
    for entry in entries:
        if entry.tags.get("recommended") == "yes":
            points += tuple(replace(point, step=0) for point in _standing(entry))
            tags["recommended"] = f"{run.agent}@{entry.version}"
            tags |= {name: value for name, value in entry.tags.items() if name == "propensities"}
    if gate := run.read("gate.json"):
        tags["gate"] = str(gate["decision"])
    return TrackedRun(
        identifier=run.identifier,
        agent=run.agent,
        status=run.status,
        started=int(record.get("moment", 0)) // 1_000_000,
        ended=int((run.path / "run.json").stat().st_mtime * 1000),
        parameters=parameters,
        points=points,
        tags=tags,
        entries=entries,
    )


def tracked_version(registry: Registry, agent: str, version: str) -> TrackedEntry:
    """A version that no run of the home brought, such as the agent's own rule."""
    path = registry.path(agent, version)
    provenance = Policy.from_bytes(path.read_bytes(), where=str(path)).provenance
    parameters = {"algorithm": provenance.algorithm} if provenance.algorithm else {}
    tags = {"agent": agent, "kind": "version", "version": f"{agent}@{version}", "note": provenance.note}
    return TrackedEntry(f"version {version}", f"{agent}@{version}", parameters, (), _said(tags), path, version)


def _trials(run: Run, registry: Registry, result: Mapping[str, Any]) -> Iterator[TrackedEntry]:
    """The finished trials of a sweep, then the policies that were kept beside those of their best checkpoints."""
    versions: dict[str, str] = run.record.get("versions", {})
    kept = set(registry.versions(run.agent)) if versions else set()
    trials: dict[int, TrialResult] = {}
    for path in sorted((run.path / "variants").glob("*.json")):
        trial = _loaded(path)
        trials[trial.index] = trial
        version = versions.get(str(trial.index), "")
        own = run.path / "artefacts" / path.name
        artefact = registry.path(run.agent, version) if version in kept else own
        yield _entry(run, result, trial, trial.best, str(trial.index), version, artefact, series=_series(trial))
    for key, version in versions.items():
        found = VERSION_KEY.fullmatch(key)
        if found and found[2] and version in kept and int(found[1]) in trials:
            trial = trials[int(found[1])]
            judged = trial.last if found[2] == " last" else trial.proposed
            yield _entry(run, result, trial, judged, key, version, registry.path(run.agent, version), NOTES[found[2]])


def _entry(
    run: Run,
    result: Mapping[str, Any],
    trial: TrialResult,
    judged: JudgedCheckpoint,
    key: str,
    version: str,
    artefact: Path,
    note: str = "",
    series: tuple[Point, ...] = (),
) -> TrackedEntry:
    reference = f"{run.agent}@{version}" if version else ""
    tags = {
        **_own_tags(run),
        "kind": "trial",
        "version": reference,
        "evidence": "log" if judged.gain.usable else "model",
        "refused": judged.gain.refused,
        "propensities": "estimated" if judged.gain.on_estimates or judged.value.on_estimates else "",
        "finalist": _yes(bool(version) and reference in result.get("finalists", ())),
        "recommended": _yes(bool(version) and reference == result.get("recommended")),
        "note": note,
    }
    parameters = {
        "algorithm": judged.variant.algorithm,
        "step": judged.variant.step,
        "seeds": _parameter(judged.variant.seeds),
        **{name: _parameter(value) for name, value in judged.hyperparameters.items()},
        "seed": judged.seed,  # whose policy stands for the seeds
    }
    own = {**_figures(judged), "metric": judged.metric, "score": judged.score, "seconds": trial.seconds}
    points = (*_points(own, judged.iteration), *series)
    name = f"trial {key} {judged.variant.algorithm}"
    return TrackedEntry(key, name, parameters, points, _said(tags), artefact, version, trial.seconds)


def _training(run: Run, registry: Registry, result: Mapping[str, Any]) -> Iterator[TrackedEntry]:
    """What ``train`` brought: no search, and no judge."""
    version = str(result.get("version", "")).rpartition("@")[2]
    if run.status != FINISHED or version not in registry.versions(run.agent):
        return
    variant = run.record["request"]["variants"][0]
    parameters = {"algorithm": variant["algorithm"], "step": variant["step"], "seeds": _parameter(variant["seeds"])}
    parameters |= {name: _parameter(value) for name, value in variant["hyperparameters"].items()}
    figures = {f"statistics/{name}": value for name, value in result["statistics"].items() if value is not None}
    tags = {**_own_tags(run), "kind": "trial", "version": str(result["version"]), "note": str(result["note"])}
    yield TrackedEntry(
        key="0",
        name=f"training {variant['algorithm']}",
        parameters=parameters,
        points=tuple(_points(figures, 0)),
        tags=_said(tags),
        artefact=registry.path(run.agent, version),
        version=version,
        seconds=float(result["seconds"]),
    )


def _figures(judged: JudgedCheckpoint) -> dict[str, float]:
    """What is known of a checkpoint. A refused number is no number, and a range of models no interval."""
    figures = {"model_gain": judged.model_gain, "effective_sample_size": judged.gain.effective_sample_size}
    for name, estimate in (("gain", judged.gain), ("estimate", judged.value)):
        if estimate.usable and estimate.evidence == "log":
            figures |= {f"{name}/{end}": getattr(estimate, end) for end in ("lower", "value", "upper")}
        elif estimate.usable:
            figures[f"model_{name}"] = estimate.value
    return figures


def _series(trial: TrialResult) -> tuple[Point, ...]:
    """The training curve by iteration, and the figures of every judged checkpoint."""
    curve = [Point(f"training/{trial.curve.metric}", v, step) for step, v in enumerate(trial.curve.values, start=1)]
    for judged in trial.checkpoints:
        told = {"metric": judged.metric, **_figures(judged)}
        curve += _points({f"checkpoints/{name}": value for name, value in told.items()}, judged.iteration)
        curve += _points({f"statistics/{name}": value for name, value in judged.statistics.items()}, judged.iteration)
    return tuple(point for point in curve if math.isfinite(point.value))


def _standing(entry: TrackedEntry) -> Iterator[Point]:
    """The figures that stand for a trial, without those of its way there."""
    return (point for point in entry.points if not point.name.startswith(("training/", "checkpoints/", "statistics/")))


def _points(figures: Mapping[str, float], step: int) -> Iterator[Point]:
    return (Point(name, float(value), step) for name, value in figures.items() if math.isfinite(value))


def _own_tags(run: Run) -> dict[str, str]:
    """The user's tags of a run, and under our names ours."""
    ours = {
        "agent": run.agent,
        "run": run.identifier,
        "grade": str(run.record["request"].get("grade", "")),
        "champion": f"{run.agent}@{run.record['champion']}" if "champion" in run.record else "",
    }
    return {**run.tags, **_said(ours)}


def _said(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if value}


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def _parameter(value: Any) -> Parameter:
    return value if isinstance(value, str | bool | int | float) else json.dumps(plain_json(value))


def _loaded(path: Path) -> TrialResult:
    try:
        return TrialResult.load(path)
    except (OSError, ValueError, KeyError, TypeError):
        remedy = "restore it from a copy, or remove its run"
        raise RegistryError("cannot be read, it is damaged", where=str(path), remedy=remedy) from None


def _plain(point: Point) -> list[Any]:
    return [point.name, point.value, point.step]


def _sha256(told: list[Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
