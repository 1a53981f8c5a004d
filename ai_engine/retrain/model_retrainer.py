"""Retraining the agents of a home: readiness, sweep, gate, promotion."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ai_engine.interrupts import Interrupted
from ai_engine.retrain.readiness import Readiness, last_sweep, readiness
from ai_engine.retrain.retrain_result import FAILED, REFUSED, RetrainResult
from envs.errors import DataError
from tune_configs.gate.foresight import LEAST_POWER
from tune_configs.minibatches import Minibatches

if TYPE_CHECKING:
    from ai_engine.continuous_learning.collector import DataCollector
    from ai_engine.gate_result import GateResult
    from ai_engine.runs import Run
    from ai_engine.tune_result import TuneResult


class ModelRetrainer:
    """Retrains agents from what a collector's home has recorded.

    ``ai_engine.tune`` tries variants, ``ai_engine.gate`` judges them on data that no training has seen, and
    only a variant that passes becomes champion. A sweep that was interrupted is gone on with by the next call
    that asks for the same of the same data.

    Args:
        data_collector: whose home and records are used.
        trials: variants to try of an agent; ``ai_engine.tune`` has a default.
        time_budget: seconds in all for the variants of one agent.
        seed: decides the variants drawn and every algorithm's seed.
        progress: told one line after each variant.
        least_power: a look at the final split is spent once it shows a gain as large as on ``select`` so often; until
            then the answer is ``refused``, units go on coming, and nothing is lost but time.
    """

    def __init__(
        self,
        data_collector: DataCollector,
        *,
        trials: int | None = None,
        time_budget: float | None = None,
        seed: int = 0,
        progress: Callable[[str], None] | None = None,
        least_power: float = LEAST_POWER,
    ) -> None:
        self.data_collector = data_collector
        self.trials = trials
        self.time_budget = time_budget
        self.seed = seed
        self.progress = progress
        self.least_power = least_power

    def check_retraining_ready(self, agent: str) -> Readiness:
        """Whether the agent's log can be learned from and has changed since its last sweep; writes nothing.

        Returns:
            True or false as a condition, with its reasons.

        Raises:
            RetrainerError: the agent's declaration or records are damaged.
        """
        return readiness(self.data_collector.home, agent)

    def agents(self) -> list[str]:
        """Names of the agents that are declared or have records, sorted."""
        return sorted({*self.data_collector.agents(), *self.data_collector.home.agents()})

    def retrain_agent(self, agent: str, batch_size: int | None = None, epochs: int | None = None) -> RetrainResult:
        """Try variants, judge the best and make one champion if the gate passes it.

        An agent that is not declared gets the draft that its log suggests, written down.

        Args:
            agent: its name.
            batch_size: rows of a minibatch, for every variant whose algorithm learns in minibatches; by default
                each variant has its own. Tables learn from the whole log at once and are not concerned.
            epochs: passes over the training rows, for the same variants
                (:class:`~tune_configs.minibatches.Minibatches` says what it is to each algorithm).

        Returns:
            The gate's decision with figures; ``refused`` with the reasons where there are too little data.

        Raises:
            SpecificationError: ``batch_size`` or ``epochs`` is less than 1.
            BusyError: another process is retraining the agent.
            RetrainerError: the agent's declaration or records are damaged.
        """
        minibatches, started = Minibatches(batch_size, epochs), time.monotonic()
        state = self.check_retraining_ready(agent)
        statistics: dict[str, Any] = {
            "decisions": state.decisions,
            "episodes": state.episodes,
            "grade": state.grade,
            "batch_size": batch_size,
            "epochs": epochs,
        }
        if not state.sufficient:
            return RetrainResult(agent, REFUSED, False, state.reasons, statistics=statistics)
        import ai_engine

        home = self.data_collector.home
        self.data_collector.specification(agent)  # writes the draft of an agent that is not declared
        tuned: TuneResult | None = None
        try:
            tuned = self._tune(state, minibatches)
            judged: GateResult = ai_engine.gate(agent, home=home, least_power=self.least_power)
        except DataError as error:
            run = tuned.run if tuned else ""
            return RetrainResult(agent, REFUSED, False, (str(error),), run=run, statistics=statistics)
        promoted = judged.decision == "promote" and not self._held(agent)
        if promoted:
            ai_engine.promote(judged.version, home=home, reason=f"retrained in run {tuned.run}")
        return RetrainResult(
            agent=agent,
            decision=judged.decision,
            promoted=promoted,
            reasons=(judged.reason,),
            version=judged.version,
            champion=judged.version if promoted else judged.champion,
            run=tuned.run,
            statistics={**statistics, **_figures(tuned, judged), "seconds": time.monotonic() - started},
        )

    def retrain_all_ready_agents(
        self,
        batch_size: int | None = None,
        epochs: int | None = None,
        *,
        agents: Sequence[str] | None = None,
        done: Callable[[RetrainResult], None] | None = None,
    ) -> dict[str, RetrainResult]:
        """Retrain every agent that is ready; the failure of one stops no other.

        Args:
            batch_size: see :meth:`retrain_agent`.
            epochs: see there.
            agents: their names; all that are declared or have records by default.
            done: told each result as it comes.

        Returns:
            A result for each agent, in the order of ``agents``, which is by name where none were named:
            ``refused`` with its reasons where it is not ready, ``failed`` with the error where one stopped it.

        Raises:
            Interrupted: the user stopped it.
            SpecificationError: ``batch_size`` or ``epochs`` is less than 1.
        """
        Minibatches(batch_size, epochs)  # wrong ones are no agent's failure
        results: dict[str, RetrainResult] = {}
        for agent in self.agents() if agents is None else agents:
            try:
                state = self.check_retraining_ready(agent)
                results[agent] = (
                    self.retrain_agent(agent, batch_size, epochs)
                    if state
                    else RetrainResult(agent, REFUSED, False, state.reasons)
                )
            except Interrupted:
                raise
            except Exception as error:  # whatever it is, the other agents have their turn
                results[agent] = RetrainResult(agent, FAILED, False, (f"{type(error).__name__}: {error}",))
            if done:
                done(results[agent])
        return results

    def _tune(self, state: Readiness, minibatches: Minibatches) -> TuneResult:
        """A sweep; one that was cut short and asked for the same is gone on with."""
        import ai_engine

        home = self.data_collector.home
        left = last_sweep(home, state.agent)
        if left and not (left.path / "gate.json").is_file() and self._is_same(left, state, minibatches):
            resumed: TuneResult = ai_engine.runs_resume(left.identifier, home=home, progress=self.progress)
            return resumed
        tuned: TuneResult = ai_engine.tune(
            state.agent,
            trials=self.trials,
            time_budget=self.time_budget,
            home=home,
            seed=self.seed,
            minibatches=minibatches,
            progress=self.progress,
        )
        return tuned

    def _is_same(self, run: Run, state: Readiness, minibatches: Minibatches) -> bool:
        """Whether a sweep has the data, the champion and the request of the one that is wanted now."""
        from ai_engine.deploy.registry import Registry

        registry, asked = Registry(self.data_collector.home), run.record["request"]
        return (
            run.record.get("dataset") == state.dataset
            and state.agent in registry.agents()
            and run.record["champion"] == registry.champion(state.agent)
            and (asked["seed"], asked["time_budget"], asked["refit_all"]) == (self.seed, self.time_budget, False)
            and asked.get("minibatches") == asdict(minibatches)
            and self.trials in (None, len(asked["variants"]))
        )

    def _held(self, agent: str) -> bool:
        from ai_engine.deploy.registry import Registry

        return Registry(self.data_collector.home).held(agent)


def _figures(tuned: TuneResult, judged: GateResult) -> dict[str, Any]:
    """What the sweep and the gate found."""
    best = tuned.recommendation
    return {
        "variants": len(tuned.variants),
        "finalists": tuned.finalists,
        "recommended": tuned.recommended,
        "algorithm": best.algorithm,
        "hyperparameters": dict(best.hyperparameters),
        "step": best.step,
        "estimate": asdict(best.estimate),
        "gain_on_select": asdict(best.gain),
        "gain_on_final": asdict(judged.estimate) if judged.estimate else None,
        "needs": asdict(judged.needs),
        "units": judged.units,
        "look": judged.look,
        "alpha": judged.alpha,
    }
