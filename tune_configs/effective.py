"""The hyperparameters that an algorithm really trains with, read where they are used and not where they were asked for.

A checkpoint brings back an optimizer with the learning rate that it was saved with. Where a population copies
a better member and changes its hyperparameters, that would silently undo the change (a known defect of
population based training with RLlib), so that what was restored is set right and then compared.
"""

from __future__ import annotations

from typing import Any

from envs.errors import RetrainerError
from tune_configs.variant import VariantSpecification


class EffectiveError(RetrainerError):
    """An algorithm trains with other hyperparameters than its trial's; this is a defect of ours."""

    exit_code = 1


def reapply(algorithm: Any) -> None:
    """Give the configuration's hyperparameters back to what a restored state has just taken them from."""
    config = algorithm.config
    for optimizer in _optimizers(algorithm):
        for group in optimizer.param_groups:
            group["lr"] = float(config.setting("learning_rate"))
    strategy = getattr(algorithm, "strategy", None)
    if strategy is not None and hasattr(strategy, "learning_rate"):
        strategy.learning_rate = float(config.setting("learning_rate"))


def effective_hyperparameters(algorithm: Any) -> dict[str, Any]:
    """All settings of an algorithm in plain JSON values: its own, and over them what its parts really hold.

    The learner's configuration is a copy that was made when it was built, the optimizer holds its own learning
    rate, and a strategy of evolution what it was made with.
    """
    found: dict[str, Any] = algorithm.hyperparameters()
    learner = getattr(algorithm, "learner", None)
    if learner is not None:
        found |= {name: learner.config.setting(name) for name in found if name != "seed"}
        if "conservative_weight" in found:
            found["conservative_weight"] = learner.config.learner_config_dict["conservative_weight"]
    rates = {float(group["lr"]) for optimizer in _optimizers(algorithm) for group in optimizer.param_groups}
    if rates:
        found["learning_rate"] = rates.pop() if len(rates) == 1 else sorted(rates)
    strategy = getattr(algorithm, "strategy", None)
    if strategy is not None:
        found |= {name: getattr(strategy, name) for name in ("population", "learning_rate") if hasattr(strategy, name)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def check_effective(variant: VariantSpecification, effective: dict[str, Any]) -> None:
    """Compare what is asked for with what is in use.

    Raises:
        EffectiveError: they differ; names the hyperparameter and both values.
    """
    for name, value in variant.hyperparameters.items():
        asked = list(value) if isinstance(value, tuple) else value
        used = effective.get(name)
        # None leaves the value to the algorithm, and a single word may stand for a list of one.
        if asked is not None and used not in (asked, [asked]):
            raise EffectiveError(
                f"{name} is {used!r} and should be {asked!r}",
                where=variant.algorithm,
                remedy="report this as a defect; nothing was written",
            )


def _optimizers(algorithm: Any) -> list[Any]:
    learner = getattr(algorithm, "learner", None)
    return [] if learner is None else list(learner._named_optimizers.values())
