"""One trial: train a variant, judge its checkpoints on ``select``, keep the policies of the best and of the last."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from algorithms.on_log import probabilities_on, without_blind_ends
from algorithms.policy import Policy, Provenance
from algorithms.policy.provenance import plain_json
from envs.columns import load_columns
from envs.dataset import Dataset
from envs.declaration import specification_hash
from envs.storage import LocalStorage
from tune_configs.judge import Judge, Judgement, episodes_in
from tune_configs.judged_checkpoint import JudgedCheckpoint, best_of, judged_checkpoint
from tune_configs.judged_checkpoint import estimate_from_json as estimate_from_json
from tune_configs.metric import smallest_difference
from tune_configs.shared_training import SharedTraining
from tune_configs.training import TrainedComponent, Training
from tune_configs.trial_plan import TrialPlan
from tune_configs.trial_result import TrialResult
from tune_configs.variant import VariantSpecification

CODE_VERSION = "0.1.0"
HISTORY = "history.json"
MOST_AT_ONCE = 4
"""Policies that are judged together; each takes the memory of the evaluated episodes once more."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """What each seed of a variant has learned after so many iterations.

    Attributes:
        trained: by seed.
        policies: by seed, with step and floor.
        probabilities: by seed, float64 (N + E, A).
        finished: whether no seed goes on.
    """

    trained: tuple[TrainedComponent, ...]
    policies: tuple[Policy, ...]
    probabilities: tuple[np.ndarray, ...]
    finished: bool


class TrialRun:
    """A trial under way; iterate over :meth:`checkpoints`.

    Args:
        plan: of the sweep.
        index: position in the plan.
        variant: what is trained.
        resume: a directory that :meth:`save` has written, of this trial or of one that it takes over from.
    """

    def __init__(self, plan: TrialPlan, index: int, variant: VariantSpecification, resume: Path | None = None) -> None:
        self.plan, self.index, self.variant, self._resume = plan, index, variant, resume
        self._started = time.monotonic()
        self._earlier = 0.0
        self._judged: list[JudgedCheckpoint] = []
        self._policies: dict[str, bytes] = {}
        self._before: list[tuple[np.ndarray, Judgement]] = []
        self._sources: list[Training | SharedTraining] = []
        self._trained: tuple[TrainedComponent, ...] = ()
        if resume is not None:
            self._restore(resume)

    def checkpoints(self) -> Iterator[JudgedCheckpoint]:
        """Each judged checkpoint as it comes; the result is on disk before the last of them is given."""
        plan = self.plan
        self._dataset, self._champion, self._judge, self._smallest = _shared(
            str(plan.dataset), str(plan.champion), plan.seed, plan.since, plan.grade
        )
        with ExitStack() as stack:
            for position in range(len(self.variant.seeds)):
                self._sources.append(self._source(position))
                stack.enter_context(self._sources[-1])
            for stages in self._batches():
                for stage, judgements in zip(stages, self._judgements(stages), strict=True):
                    self._keep(stage, judgements)
                    if stage.finished or plan.strategy.scheduler == "asha":
                        self._write(stage.finished)
                    yield self._judged[-1]

    def _batches(self) -> Iterator[list[Stage]]:
        """The checkpoints still to come, those together that need not wait for a scheduler: judging them at once
        costs half as much."""
        stages = self._stages()
        yield from [list(stages)] if self.plan.strategy.scheduler == "none" else ([stage] for stage in stages)

    def _stages(self) -> Iterator[Stage]:
        done = self._judged[-1].iteration if self._judged else 0
        for iteration in self.plan.strategy.checkpoints:
            if iteration <= done:
                continue
            trained = tuple(source.at(iteration) for source in self._sources)
            variants = [replace(self.variant, seeds=(seed,)) for seed in self.variant.seeds]
            policies = tuple(
                variant_policy(self._champion, each, variant, self._dataset)
                for each, variant in zip(trained, variants, strict=True)
            )
            probabilities = tuple(probabilities_on(self._dataset, policy) for policy in policies)
            finished = all(source.finished for source in self._sources)
            yield Stage(trained, policies, probabilities, finished)
            if finished:
                return

    def result(self) -> TrialResult:
        """What has been found so far."""
        best = best_of(self._judged)
        return TrialResult(
            index=self.index,
            checkpoints=tuple(self._judged),
            curve=self._trained[self.variant.seeds.index(best.seed)].curve,
            seconds=self._earlier + time.monotonic() - self._started,
            training_seconds=max(each.seconds for each in self._trained),
            loading_seconds=max(each.loading for each in self._trained),
        )

    def save(self, directory: Path) -> None:
        """Keep all that going on needs in an existing directory."""
        for position, source in enumerate(self._sources):
            assert isinstance(source, Training)
            source.save(directory / f"seed-{position}")
        for name, content in self._policies.items():
            (directory / f"{name}.json").write_bytes(content)
        history = {
            "checkpoints": [each.to_json() for each in self._judged],
            "seconds": self._earlier + time.monotonic() - self._started,
        }
        (directory / HISTORY).write_text(json.dumps(plain_json(history)), encoding="utf-8")

    def _restore(self, directory: Path) -> None:
        history = json.loads((directory / HISTORY).read_text(encoding="utf-8"))
        self._judged = [JudgedCheckpoint.from_json(item) for item in history["checkpoints"]]
        self._earlier = float(history["seconds"])
        self._policies = {name: (directory / f"{name}.json").read_bytes() for name in ("best", "last")}

    def _source(self, position: int) -> Training | SharedTraining:
        plan, variant = self.plan, replace(self.variant, seeds=(self.variant.seeds[position],))
        if plan.strategy.scheduler == "none":
            folder = plan.directory / "components"
            return SharedTraining(folder, plan.dataset, plan.champion, variant, plan.strategy.checkpoints)
        training = Training(plan.dataset, plan.champion, variant)
        if self._resume is not None:
            training.restore(self._resume / f"seed-{position}")
        return training

    def _judgements(self, stages: Sequence[Stage]) -> list[list[Judgement]]:
        """What the judge says of each seed's policy at each stage; no policy is judged twice in a row."""
        known, places = list(self._before), []
        new: list[np.ndarray] = []
        for each in (probabilities for stage in stages for probabilities in stage.probabilities):
            candidates = [*(probabilities for probabilities, _ in known), *new]
            place = next((k for k, other in enumerate(candidates) if np.array_equal(each, other, equal_nan=True)), None)
            if place is None:
                place = len(candidates)
                new.append(each)
            places.append(place)
        for first in range(0, len(new), MOST_AT_ONCE):
            batch = new[first : first + MOST_AT_ONCE]
            found = self._judge.trajectories(np.stack(batch))
            for k, each in enumerate(batch):
                known.append((each, self._judge.judged({name: [policies[k]] for name, policies in found.items()})))
        seeds = len(self.variant.seeds)
        self._before = [known[place] for place in places[-seeds:]]
        judged = [known[place][1] for place in places]
        return [judged[first : first + seeds] for first in range(0, len(judged), seeds)]

    def _keep(self, stage: Stage, judgements: Sequence[Judgement]) -> None:
        """Take the seeds together, and keep the policy of the one in the middle."""
        shares = [np.mean(each[self._judge.rows], axis=0) for each in stage.probabilities]
        judged = judged_checkpoint(self.variant, stage.trained, judgements, shares, smallest=self._smallest)
        self._judged.append(judged)
        self._trained = stage.trained
        policy = stage.policies[self.variant.seeds.index(judged.seed)]
        evaluation = {"value": asdict(judged.value), "gain": asdict(judged.gain)}
        policy = replace(policy, provenance=replace(policy.provenance, evaluation=evaluation))
        self._policies["last"] = policy.to_bytes()
        if best_of(self._judged) is judged:
            self._policies["best"] = self._policies["last"]

    def _write(self, finished: bool) -> None:
        """Artefacts first, and the result last and in one step."""
        plan, index, result = self.plan, self.index, self.result()
        files = {plan.artefact_path(index): self._policies["best"]}
        if result.best is result.last:
            plan.artefact_path(index, last=True).unlink(missing_ok=True)
        else:
            files[plan.artefact_path(index, last=True)] = self._policies["last"]
        path = plan.result_path(index) if finished else plan.unfinished_path(index)
        files[path] = json.dumps(result.to_json(), indent=1).encode()
        store = LocalStorage(plan.directory)
        for each, content in files.items():
            store.replace(str(each.relative_to(plan.directory)), content)


def run_variant(plan: TrialPlan, index: int) -> TrialResult:
    """Train and judge one of the known variants; its result appears on disk last and in one step."""
    for _ in TrialRun(plan, index, plan.variants[index]).checkpoints():
        pass
    return TrialResult.load(plan.result_path(index))


def variant_policy(
    champion: Policy, trained: TrainedComponent, variant: VariantSpecification, dataset: Dataset, *, note: str = ""
) -> Policy:
    """(1 - η) champion + η component, with the agent's declared exploration floor."""
    specification = dataset.specification
    provenance = Provenance(
        parent=champion.version,
        specification_hash=specification_hash(specification),
        reward=specification.reward,
        dataset=dataset.identifier,
        code_version=CODE_VERSION,
        algorithm=variant.algorithm,
        hyperparameters={**trained.hyperparameters, "step": variant.step, "seeds": list(variant.seeds)},
        training=dict(trained.statistics),
        note=note,
    )
    layered = champion.with_layer(trained.component, variant.step, provenance=provenance)
    return replace(layered, explore=specification.explore, version="candidate")


@lru_cache(maxsize=4)
def _shared(
    dataset_path: str, champion_path: str, seed: int, since: int, grade: str
) -> tuple[Dataset, Policy, Judge, float]:
    """What all trials of a worker share: the log, the champion, the judge and the smallest difference."""
    dataset = load_columns(dataset_path)
    champion = Policy.from_bytes(Path(champion_path).read_bytes(), where=champion_path)
    probabilities = probabilities_on(dataset, champion)
    dataset = without_blind_ends(dataset, probabilities)
    evaluated = episodes_in(dataset, "select") & (dataset.sequences > since)
    judge = Judge(
        dataset,
        probabilities,
        evaluated=evaluated,
        fitted=episodes_in(dataset, "train", "select") & ~evaluated,
        behavior=unlogged_behavior(dataset),
        seed=seed,
        grade=grade,
    )
    return dataset, champion, judge, smallest_difference(dataset)


def unlogged_behavior(dataset: Dataset) -> np.ndarray | None:
    """The estimated behaviour policy (N, A) where propensities are lacking or false (grade B), else ``None``."""
    from envs.card.evidence import LARGEST_RESIDUAL
    from envs.card.propensities import contradictions, martingale_residual
    from envs.untried import behavior_probabilities

    logged = np.isfinite(dataset.propensities)
    believed = not (martingale_residual(dataset) >= LARGEST_RESIDUAL or contradictions(dataset))
    if believed and logged.all():
        return None
    return behavior_probabilities(dataset, believed=believed)
