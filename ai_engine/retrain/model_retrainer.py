"""Retraining the agents of a home: readiness, sweep, gate, promotion."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ai_engine.interrupts import Interrupted
from ai_engine.retrain.readiness import Readiness, readiness
from ai_engine.retrain.retrain_result import FAILED, REFUSED, RetrainResult
from envs.errors import DataError, SpecificationError

if TYPE_CHECKING:
    from ai_engine.continuous_learning.collector import DataCollector
    from ai_engine.gate_result import GateResult
    from ai_engine.tune_result import TuneResult


class ModelRetrainer:
    """Retrains agents from what a collector's home has recorded.

    ``ai_engine.tune`` tries variants, ``ai_engine.gate`` judges them on data that no training has seen, and
    only a variant that passes becomes champion. Each variant is trained until its algorithm is done.

    Args:
        data_collector: whose home and records are used.
        trials: variants to try in place of ``epochs``.
        time_budget: seconds in all for the variants of one agent.
        seed: decides the variants drawn and every algorithm's seed.
        progress: told one line after each variant.
    """

    def __init__(
        self,
        data_collector: DataCollector,
        *,
        trials: int | None = None,
        time_budget: float | None = None,
        seed: int = 0,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self.data_collector = data_collector
        self.trials = trials
        self.time_budget = time_budget
        self.seed = seed
        self.progress = progress

    def check_retraining_ready(self, agent: str) -> Readiness:
        """Whether the agent's log can be learned from and has changed since its last sweep; writes nothing.

        Returns:
            True or false as a condition, with its reasons.

        Raises:
            RetrainerError: the agent's declaration or records are damaged.
        """
        return readiness(self.data_collector.home, agent)

    def retrain_agent(self, agent: str, batch_size: int = 32, epochs: int = 10) -> RetrainResult:
        """Try variants, judge the best and make one champion if the gate passes it.

        An agent that is not declared gets the draft that its log suggests, written down.

        Args:
            agent: its name.
            batch_size: rows of a minibatch. The variants of a sweep learn from the whole log, or bring a batch
                size of their own; this one changes none of them and is only checked and kept with the figures.
            epochs: how long to search: the number of variants tried, where the retrainer was given no ``trials``.

        Returns:
            The gate's decision with figures; ``refused`` with the reasons where there are too little data.

        Raises:
            SpecificationError: ``batch_size`` or ``epochs`` is less than 1.
            BusyError: another process is retraining the agent.
            RetrainerError: the agent's declaration or records are damaged.
        """
        _need_positive(batch_size=batch_size, epochs=epochs)
        started = time.monotonic()
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
            tuned = ai_engine.tune(
                agent,
                trials=self.trials or epochs,
                time_budget=self.time_budget,
                home=home,
                seed=self.seed,
                progress=self.progress,
            )
            judged: GateResult = ai_engine.gate(agent, home=home)
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

    def retrain_all_ready_agents(self, batch_size: int = 32, epochs: int = 10) -> dict[str, RetrainResult]:
        """Retrain every agent that is ready; the failure of one stops no other.

        Returns:
            A result for each agent that is declared or has records, in the order of their names: ``refused``
            with its reasons where it is not ready, ``failed`` with the error where one stopped it.

        Raises:
            Interrupted: the user stopped it.
            SpecificationError: ``batch_size`` or ``epochs`` is less than 1.
        """
        _need_positive(batch_size=batch_size, epochs=epochs)
        results: dict[str, RetrainResult] = {}
        for agent in sorted({*self.data_collector.agents(), *self.data_collector.home.agents()}):
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
        return results

    def _held(self, agent: str) -> bool:
        from ai_engine.deploy.registry import Registry

        return Registry(self.data_collector.home).held(agent)


def _need_positive(**arguments: int) -> None:
    for name, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SpecificationError(f"{name} is {value!r}", where="ModelRetrainer", remedy="give 1 or more")


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
