"""What the trials of a sweep do, and where they keep what they find."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tune_configs.search_space import SearchSpace
from tune_configs.strategy import Strategy
from tune_configs.tree_search import TreeSearch
from tune_configs.trial_result import TrialResult
from tune_configs.variant import VariantSpecification


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """What a sweep does.

    Attributes:
        directory: the run's folder; results go to ``variants/`` and ``artefacts/`` in it.
        dataset: folder of the dataset's columns, ``final`` left out.
        champion: artefact file of the present champion.
        variants: what is tried, as far as it is known before the first trial.
        seed: of folds and cells.
        grade: of the log.
        since: journal position; ``select`` episodes up to it were judged under an earlier champion
            and serve as training data for the judge's models only.
        strategy: how variants are searched for.
        space: what a tree search draws from, and a population changes within.
        repeats: seeds of each variant that is still to be drawn.
        trials: how many in all; those known where it is ``None``.
    """

    directory: Path
    dataset: Path
    champion: Path
    variants: tuple[VariantSpecification, ...]
    seed: int = 0
    grade: str = "A"
    since: int = 0
    strategy: Strategy = field(default_factory=Strategy)
    space: SearchSpace | None = None
    repeats: int = 1
    trials: int | None = None

    @property
    def count(self) -> int:
        """Number of trials."""
        return len(self.variants) if self.trials is None else self.trials

    @property
    def tree(self) -> TreeSearch | None:
        """What gives the variants after the known ones, ``None`` where all are known."""
        if self.strategy.search != "tpe" or self.space is None:
            return None
        return TreeSearch(self.space, self.seed, self.repeats)

    def result_path(self, index: int) -> Path:
        """Where the result of a variant stands once it is finished."""
        return self.directory / "variants" / f"{index:04d}.json"

    def unfinished_path(self, index: int) -> Path:
        """Where the result of a trial stands that may be ended early."""
        return self.directory / "unfinished" / f"{index:04d}.json"

    def missing(self) -> list[int]:
        """Variants that have no result yet."""
        return [index for index in range(self.count) if not self.result_path(index).exists()]

    def results(self) -> list[TrialResult]:
        """What has finished, in the order of the plan."""
        paths = (self.result_path(index) for index in range(self.count))
        return [TrialResult.load(path) for path in paths if path.exists()]

    @property
    def stop_path(self) -> Path:
        """The file whose appearance ends the running trials."""
        return self.directory / "stop"

    def artefact_path(self, index: int, *, last: bool = False) -> Path:
        """Where the policy of a variant stands: that of its best checkpoint, or of its last where that is another."""
        return self.directory / "artefacts" / f"{index:04d}{'-last' if last else ''}.json"
