"""A plan's variants as Ray Tune asks for them, those of a tree search round by round. Importing this imports Ray."""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher

from tune_configs.tree_search import ROUND
from tune_configs.trial_plan import TrialPlan
from tune_configs.variant import VariantSpecification


def asked(plan: int, index: int, variant: VariantSpecification) -> dict[str, Any]:
    """A trial's configuration."""
    return {"trial": {"plan": plan, "index": index, "variant": variant.to_json()}}


class Suggestions(Searcher):
    """Gives the missing variants of one plan in their order; waits before a round until the rounds before are done.

    Args:
        plan: with a tree search.
    """

    def __init__(self, plan: TrialPlan) -> None:
        super().__init__()
        self._plan, self._missing = plan, plan.missing()
        self._running: dict[str, int] = {}
        self._failed: set[int] = set()

    def set_search_properties(self, metric: str | None, mode: str | None, config: Any, **spec: Any) -> bool:
        """Accepted: the metric is read from the trials' own results."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """The next variant; ``None`` to wait, ``FINISHED`` where there is nothing new."""
        if not self._missing:
            return Searcher.FINISHED
        index, known = self._missing[0], self._plan.variants
        if index < len(known):
            variant: VariantSpecification | None = known[index]
        else:
            number = (index - len(known)) % ROUND
            if any(before < index - number for before in self._running.values()):
                return None
            variant = suggested(self._plan, index)
        if variant is None:
            return Searcher.FINISHED
        self._running[trial_id] = self._missing.pop(0)
        return asked(0, index, variant)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """It is waited for no longer."""
        self._running.pop(trial_id, None)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a sweep goes on from the results of its trials."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing; see :meth:`save`."""


def suggested(plan: TrialPlan, index: int) -> VariantSpecification | None:
    """The variant of a tree search at a position, ``None`` where its space has nothing new.

    It follows from the results of the rounds before, all of which have finished.
    """
    assert plan.tree is not None
    number = (index - len(plan.variants)) % ROUND
    results = [result for result in plan.results() if result.index < index - number]
    return plan.tree.suggest(results, plan.variants, number)
