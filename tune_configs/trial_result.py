"""What a trial found, as it stands on disk."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from algorithms.ope.estimate import Estimate
from algorithms.policy.provenance import plain_json
from tune_configs.judged_checkpoint import JudgedCheckpoint, best_of
from tune_configs.training import LearningCurve
from tune_configs.variant import VariantSpecification


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The judged checkpoints of one variant.

    Attributes:
        index: position in the plan.
        checkpoints: in the order of training.
        curve: how training went, of the seed that stands for the best checkpoint.
        seconds: wall-clock time of training and judging.
        training_seconds: that of training one of its seeds alone.
        loading_seconds: that of loading the library, in the first trial of a process.
    """

    index: int
    checkpoints: tuple[JudgedCheckpoint, ...]
    curve: LearningCurve
    seconds: float
    training_seconds: float = field(default=0.0, compare=False)
    loading_seconds: float = field(default=0.0, compare=False)

    @property
    def best(self) -> JudgedCheckpoint:
        """The checkpoint that stands for the variant."""
        return best_of(self.checkpoints)

    @property
    def last(self) -> JudgedCheckpoint:
        """What the whole training came to."""
        return self.checkpoints[-1]

    @property
    def proposed(self) -> JudgedCheckpoint:
        """The checkpoint that a recommendation means: the best; or the last, which the log does not reach, where the
        models say more for it at their most cautious than the log proves for the best."""
        best, last = self.best, self.last
        return last if not last.gain.usable and _rank(last) > _rank(best) else best

    @property
    def score(self) -> float:
        """Of the checkpoint that a recommendation means."""
        return self.proposed.score

    @property
    def variant(self) -> VariantSpecification:
        """What was tried, as it was at the best checkpoint."""
        return self.best.variant

    @property
    def gain(self) -> Estimate:
        """Paired difference of the best checkpoint to the champion."""
        return self.best.gain

    def to_json(self) -> dict[str, Any]:
        """The JSON form, non-finite figures as null."""
        own = {name: getattr(self, name) for name in self.__slots__}
        plain: dict[str, Any] = plain_json(
            {**own, "checkpoints": [each.to_json() for each in self.checkpoints], "curve": asdict(self.curve)}
        )
        return plain

    @classmethod
    def load(cls, path: Path) -> TrialResult:
        """The result that a trial wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        checkpoints = tuple(JudgedCheckpoint.from_json(item) for item in data["checkpoints"])
        return cls(**{**data, "checkpoints": checkpoints, "curve": LearningCurve.from_json(data["curve"])})


def _rank(checkpoint: JudgedCheckpoint) -> float:
    return -math.inf if math.isnan(checkpoint.score) else checkpoint.score
