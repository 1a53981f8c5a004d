"""Variants drawn where earlier ones did well: tree-structured Parzen estimator (Bergstra et al. 2011), by Optuna.

Variants come in rounds. Those of a round are drawn from the results of the rounds before it and from nothing
else, so that neither the order in which trials finish nor an interruption changes what is tried: the same
seed and the same results give the same variants, and no state is kept besides the results themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.errors import MissingExtraError
from tune_configs.domains import Choice, Domain, LogUniform, WholeNumber
from tune_configs.search_space import SearchSpace, Space, effect, with_defaults
from tune_configs.trial_result import TrialResult
from tune_configs.variant import Value, VariantSpecification

ROUND = 4
"""Variants that are drawn from the same results; at most so many trials run at once."""
STARTUP = 8
"""Results inside the space before which draws are uniform."""
ATTEMPTS = 50
"""Draws after which a space counts as having nothing new."""
SPACE, STEP = "space", "step"


@dataclass(frozen=True, slots=True)
class TreeSearch:
    """The search of one sweep.

    Attributes:
        space: what is drawn from; a variant that was tried outside it (of the portfolio) teaches nothing.
        seed: of the draws and the first of each variant's seeds.
        repeats: seeds of each variant.
    """

    space: SearchSpace
    seed: int = 0
    repeats: int = 1

    def suggest(
        self, results: Sequence[TrialResult], known: Sequence[VariantSpecification], number: int
    ) -> VariantSpecification | None:
        """Variant ``number`` of a round, or ``None`` where the space has nothing new.

        Args:
            results: of all trials of the rounds before.
            known: variants that must not come again, besides those of ``results``.
            number: position in the round, from 0.

        Raises:
            MissingExtraError: Optuna is not installed.
        """
        study, found = self._study(results), None
        seen = {effect(variant) for variant in (*known, *(result.variant for result in results))}
        for _ in range(number + 1):
            found = self._new(study, seen)
            if found is None:
                return None
            seen.add(effect(found))
        return found

    def _study(self, results: Sequence[TrialResult]) -> Any:
        """Optuna's study of these results; those outside the spaces teach nothing."""
        optuna = _optuna()
        seed = int(np.random.SeedSequence([self.seed, len(results)]).generate_state(1)[0])
        sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=seed, constant_liar=True)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        for result in results:
            for number, space in enumerate(self.space.spaces):
                values = _inside(space, result.variant)
                if values is not None:
                    study.add_trial(self._told(number, values, result.best.metric))
        return study

    def _told(self, number: int, values: Mapping[str, Value], metric: float) -> Any:
        """A finished trial of one of the spaces, in Optuna's form."""
        optuna = _optuna()
        domains = _parameters(self.space.spaces[number])
        distributions = {_name(number, name): _distribution(domain) for name, domain in domains.items()}
        spaces = optuna.distributions.CategoricalDistribution(range(len(self.space.spaces)))
        return optuna.trial.create_trial(
            params={SPACE: number, **{_name(number, name): _coded(domains[name], v) for name, v in values.items()}},
            distributions={SPACE: spaces, **distributions},
            value=metric,
        )

    def _new(self, study: Any, seen: set[tuple[object, ...]]) -> VariantSpecification | None:
        for _ in range(ATTEMPTS):
            variant = self._drawn(study.ask())
            if effect(variant) not in seen:
                return variant
        return None

    def _drawn(self, trial: Any) -> VariantSpecification:
        number = trial.suggest_categorical(SPACE, range(len(self.space.spaces)))
        space = self.space.spaces[number]
        drawn = {name: _suggested(trial, _name(number, name), each) for name, each in _parameters(space).items()}
        step = drawn.pop(STEP)
        seeds = tuple(range(self.seed, self.seed + self.repeats))
        return VariantSpecification(space.algorithm, drawn, float(step), seeds)  # type: ignore[arg-type]


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingExtraError(
            "optuna is not installed", where="search tpe", remedy="pip install 'retrainer[train]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _parameters(space: Space) -> dict[str, Domain]:
    return {**space.domains, STEP: space.steps}


def _name(number: int, name: str) -> str:
    return f"{number} {name}"


def _inside(space: Space, variant: VariantSpecification) -> dict[str, Value] | None:
    """Its values in this space, ``None`` where it lies outside."""
    if variant.algorithm != space.algorithm or not set(variant.hyperparameters) <= set(space.domains):
        return None
    settings = {**with_defaults(variant), STEP: variant.step}
    values = {name: settings.get(name) for name in _parameters(space)}
    return values if all(domain.contains(values[name]) for name, domain in _parameters(space).items()) else None


def _distribution(domain: Domain) -> Any:
    distributions = _optuna().distributions
    if isinstance(domain, Choice):
        return distributions.CategoricalDistribution(range(len(domain.values)))
    if isinstance(domain, WholeNumber):
        return distributions.IntDistribution(domain.low, domain.high, log=domain.logarithmic)
    return distributions.FloatDistribution(domain.low, domain.high, log=isinstance(domain, LogUniform))


def _coded(domain: Domain, value: Value) -> Any:
    """The value as Optuna has it: of a choice its position, for Optuna knows no tuples."""
    return domain.values.index(value) if isinstance(domain, Choice) else value


def _suggested(trial: Any, name: str, domain: Domain) -> Value:
    if isinstance(domain, Choice):
        return domain.values[trial.suggest_categorical(name, range(len(domain.values)))]
    if isinstance(domain, WholeNumber):
        return int(trial.suggest_int(name, domain.low, domain.high, log=domain.logarithmic))
    return float(trial.suggest_float(name, domain.low, domain.high, log=isinstance(domain, LogUniform)))
