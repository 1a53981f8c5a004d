"""A life in a sealed world: log by the champion, learn, choose, gate, promote, and again on what was promoted.

What learns, chooses and decides is the product's own code in this process, without Ray: the tabular learner of
:mod:`tune_configs.gate.placebo_learning`, the judge's choice as :mod:`benchmarks.trust.gate_chain` makes it, and
:func:`ai_engine.gating.ask`. They are given a dataset, which holds what a file of decisions and its owner's
declaration hold. The world is asked for the next log and, once all is decided, for the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ai_engine.deploy.registry_view import Looks
from ai_engine.gating import Answer, Question, ask
from ai_engine.sweep_plan import FRESH_SELECT_UNITS
from algorithms.ope.estimate import Estimate
from benchmarks.sealed.families import BETTER, SealedWorld
from benchmarks.sealed.oracle import oracle_finds
from benchmarks.sealed.records import CycleRecord
from benchmarks.sealed.rivals import RivalQuestion, rival_question
from benchmarks.sealed.window import Window
from benchmarks.trust.gate_chain import select_gains
from benchmarks.trust.worlds import explored, on_rows
from envs.build_report import BuildReport
from envs.card import DataCard, build_card
from envs.dataset import SELECT, Dataset
from envs.specification import AgentSpecification
from tune_configs.gate.budget import alpha_at
from tune_configs.gate.evidence import Sides, fresh_final
from tune_configs.gate.finalists import finalists
from tune_configs.gate.foresight import LEAST_POWER
from tune_configs.gate.placebo_learning import PlaceboLearner
from tune_configs.gate.request import PROMOTE
from tune_configs.judge import episodes_in

CHAMPION = "champion"


@dataclass(frozen=True, eq=False)
class Chosen:
    """A variant as :func:`ai_engine.gating.ask` reads it."""

    version: str
    gain: Estimate


@dataclass(frozen=True, eq=False)
class Sweep:
    """What :func:`ai_engine.gating.ask` reads of a sweep's result."""

    variants: tuple[Chosen, ...]
    finalists: tuple[str, ...]
    evidence: str = "log"
    recommendation: None = None


@dataclass(frozen=True, eq=False)
class Bench:
    """What :func:`ai_engine.gating.ask` reads of a workspace and of its registry, for policies that are tables.

    Attributes:
        dataset: the log.
        tables: policies over observations (O, A), by version.
        spent: looks so far.
    """

    dataset: Dataset
    tables: dict[str, np.ndarray]
    spent: Looks

    name = "world"

    @property
    def specification(self) -> AgentSpecification:
        """The declaration."""
        return self.dataset.specification

    @property
    def registry(self) -> Bench:
        """Itself."""
        return self

    def looks(self, agent: str) -> Looks:
        """Looks so far."""
        return self.spent

    def version(self, agent: str, version: str) -> str:
        """A policy, which is its version here."""
        return version

    @cached_property
    def _card(self) -> DataCard:
        count = len(self.dataset)
        return build_card(self.dataset, BuildReport(count, count, self.dataset.episode_count))

    def card(self) -> DataCard:
        """What the log can prove."""
        return self._card

    def with_known_ends(self, *policies: str) -> tuple[Dataset, list[np.ndarray]]:
        """The dataset, whose ends are all known, and the policies at its rows."""
        return self.dataset, list(on_rows(self.dataset, np.stack([self.tables[policy] for policy in policies])))


@dataclass
class Life:
    """One agent's life.

    Attributes:
        sealed: the world.
        number: which life.
        rng: of the logs.
    """

    sealed: SealedWorld
    number: int
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.champion = self.sealed.champion
        self.looks = Looks(0, 0.0, 0)
        self.window = Window(self.sealed)
        self.questions: list[RivalQuestion] = []

    def cycle(self, number: int, *, asked: bool = False) -> CycleRecord:
        """Log, learn, choose, gate and promote once; ``asked``: keep the log for the rivals."""
        sealed, champion, looks = self.sealed, self.champion, self.looks
        dataset = self.window.extended(champion, self.rng)
        variants = learned(dataset, champion, sealed.explore)
        since = _select_since(dataset, looks.final_sequence)
        gains = judged(dataset, champion, variants, since)
        chosen = finalists(gains)
        bench = Bench(dataset, {CHAMPION: champion, **{str(index): variants[index] for index in chosen}}, looks)
        answer = _asked(bench, gains, chosen, since)
        truths = np.array([sealed.gain(variant, champion) for variant in variants])
        winner = None
        if answer.decision.decision == PROMOTE and answer.decision.winner is not None:
            winner = chosen[answer.decision.winner]
            self.champion = variants[winner]
        if answer.decision.alpha > 0:
            self.looks = Looks(looks.count + 1, looks.alpha + answer.decision.alpha, answer.final_sequence)
        if asked:
            held_out = self.window.held_out(dataset)
            name = f"{sealed.family}/{self.number}/{number}"
            self.questions.append(rival_question(name, dataset, held_out, champion, variants, truths, winner))
        return CycleRecord(
            family=sealed.family,
            life=self.number,
            horizon=sealed.horizon,
            cycle=number,
            grade=bench.card().grade,
            decision=answer.decision.decision,
            alpha=answer.decision.alpha,
            gain=0.0 if winner is None else float(truths[winner]),
            reached=sealed.gain(self.champion, sealed.champion),
            possible=self._possible,
            **_covers(answer, gains, chosen, truths * sealed.scale),
            oracle=self._oracle(dataset, variants, truths, champion, looks),
        )

    @cached_property
    def _possible(self) -> float:
        """True gain of the best policy with the floor over the first champion; NaN where nothing is to be found."""
        sealed = self.sealed
        if sealed.family != BETTER:
            return float("nan")
        return sealed.gain(explored(sealed.world.best_policy(), sealed.explore), sealed.champion)

    def _oracle(
        self, dataset: Dataset, variants: np.ndarray, truths: np.ndarray, champion: np.ndarray, looks: Looks
    ) -> bool | None:
        """What a test with the true Q says of the best variant, where one is truly better."""
        best = int(truths.argmax())
        if self.sealed.family != BETTER or not truths[best] > 0.0:
            return None
        tested = dataset.select_episodes(fresh_final(dataset, looks.final_sequence))
        return oracle_finds(self.sealed.world, tested, variants[best], champion, alpha_at(looks.count + 1))


def learned(dataset: Dataset, champion: np.ndarray, explore: float) -> np.ndarray:
    """Variants of the champion that ``train`` teaches, as tables over observations (V, O, A), floors included.

    An observation that no episode has is left to the champion.
    """
    bare = (champion - explore / champion.shape[1]) / (1.0 - explore)
    at_rows = PlaceboLearner(dataset, on_rows(dataset, bare[None])[0]).variants(dataset.rewards)
    tables = np.repeat(champion[None], len(at_rows), axis=0)
    tables[:, dataset.observations[:, 0].astype(np.int64)] = at_rows
    return tables


def judged(dataset: Dataset, champion: np.ndarray, variants: np.ndarray, since: int) -> list[Estimate]:
    """The gain of each variant on ``select``, as ``tune`` judges it."""
    early = dataset.split("train", "select")
    selected = episodes_in(early, "select") & (early.sequences > since)
    sides = Sides(np.zeros_like(selected), selected, episodes_in(early, "train", "select"))
    return select_gains(early, champion, variants, sides)


def _select_since(dataset: Dataset, read: int) -> int:
    """From where on ``select`` is read: after the last gate, where that are enough episodes, as ``tune`` has it."""
    fresh = (dataset.splits == SELECT) & (dataset.sequences > read)
    return read if fresh.sum() >= FRESH_SELECT_UNITS else 0


def _asked(bench: Bench, gains: list[Estimate], chosen: tuple[int, ...], since: int) -> Answer:
    """The gate's answer about the finalists."""
    variants = tuple(Chosen(str(index), gain) for index, gain in enumerate(gains))
    versions = [str(index) for index in chosen]
    question = Question(CHAMPION, versions, Sweep(variants, tuple(versions)), since, least_power=LEAST_POWER)  # type: ignore[arg-type]
    return ask(bench, question)  # type: ignore[arg-type]


def _covers(answer: Answer, gains: list[Estimate], chosen: tuple[int, ...], truths: np.ndarray) -> dict[str, Any]:
    """Whether the gate's interval, and that on ``select`` of the first choice, hold the truth."""
    decision, found = answer.decision, {"confidence": 0.0, "covered": None, "chosen_covered": None}
    if decision.alpha > 0 and decision.subject is not None:
        estimate = decision.estimates[decision.subject]
        if estimate.usable and estimate.diagnostics.get("tail_condition") == 1.0:
            truth = truths[chosen[decision.subject]]
            found |= {"confidence": estimate.confidence, "covered": bool(estimate.lower <= truth <= estimate.upper)}
    if chosen:
        first = gains[chosen[0]]
        found["chosen_covered"] = bool(first.lower <= truths[chosen[0]] <= first.upper)
    return found
