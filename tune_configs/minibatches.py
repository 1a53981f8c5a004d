"""The size and number of a network's training steps, said once for every variant of a sweep."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from envs.errors import SpecificationError
from tune_configs.training import ITERATIONS
from tune_configs.variant import Value, VariantSpecification

DEFAULT_BATCH_SIZES = {"behavior_cloning": 256, "dqn": 256}
"""Algorithms that draw minibatches from the log, with what they take where a variant says nothing."""


@dataclass(frozen=True, slots=True)
class Minibatches:
    """How the variants learn whose algorithm learns in minibatches; all others learn from the whole log at once.

    Behaviour cloning and DQN take epochs × rows ⁄ batch size updates. PPO, whose decisions are its own, makes so
    many passes over each batch of its episodes, in minibatches of that size.

    Attributes:
        batch_size: rows of one step; ``None`` leaves each variant's own.
        epochs: passes over the training rows; ``None`` leaves each variant's own number of updates.

    Raises:
        SpecificationError: one is less than 1.
    """

    batch_size: int | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("batch_size", self.batch_size), ("epochs", self.epochs)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise SpecificationError(f"{name} is {value!r}", where="minibatches", remedy="give 1 or more")

    def applied(self, variant: VariantSpecification, rows: int) -> VariantSpecification:
        """The variant with these steps.

        Args:
            variant: what is to be trained.
            rows: training rows.
        """
        settings: dict[str, Value | None] = {}
        if variant.algorithm == "ppo":
            settings = {"minibatch_size": self.batch_size, "num_epochs": self.epochs}
        elif variant.algorithm in DEFAULT_BATCH_SIZES and variant.hyperparameters.get("model") != "table":
            kept = variant.hyperparameters.get("batch_size", DEFAULT_BATCH_SIZES[variant.algorithm])
            size = self.batch_size or int(kept)  # type: ignore[arg-type]
            updates = self.epochs and math.ceil(self.epochs * rows / (size * ITERATIONS))
            settings = {"batch_size": self.batch_size, "updates_per_iteration": updates}
        given = {name: value for name, value in settings.items() if value is not None}
        return replace(variant, hyperparameters={**variant.hyperparameters, **given})
