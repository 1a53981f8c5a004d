"""A search space of the user's own, from a Python file, checked against the agent that it is for."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from envs.errors import SpecificationError
from envs.specification import AgentSpecification
from tune_configs.domains import Choice, Domain
from tune_configs.search_space import SearchSpace, Space
from tune_configs.training import check_variant
from tune_configs.variant import Value, VariantSpecification

NAME = "SPACE"


def load_space(path: str | Path) -> SearchSpace:
    """The ``SPACE`` that a Python file defines.

    The file is run, as importing it would run it: give only a file of your own, as you would only import one.

    Raises:
        SpecificationError: there is no such file, it fails, or it defines no :class:`SearchSpace` of that name.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise SpecificationError("there is no such file", where=str(path), remedy="name a Python file")
    specification = importlib.util.spec_from_file_location(f"space of {file.absolute()}", file)
    if specification is None or specification.loader is None:
        raise SpecificationError("is no Python file", where=str(path), remedy="its name ends in .py")
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
    except SpecificationError as error:
        raise SpecificationError(str(error), where=str(path), remedy="correct it") from error
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise SpecificationError(f"fails ({reason})", where=str(path), remedy="correct it") from error
    found = getattr(module, NAME, None)
    if not isinstance(found, SearchSpace):
        raise SpecificationError(
            f"{NAME} is {'missing' if found is None else f'a {type(found).__name__}'}",
            where=str(path),
            remedy=f"write {NAME} = SearchSpace(...), from tune_configs import SearchSpace",
        )
    return found


def check_space(space: SearchSpace, specification: AgentSpecification) -> None:
    """Check every variant of the portfolio and both ends of every domain before anything is trained.

    Raises:
        SpecificationError: an unknown algorithm, hyperparameter or field, or a value out of its range.
    """
    for variant in space.portfolio:
        check_variant(variant, specification)
    for each in space.spaces:
        for variant in _extremes(each):
            check_variant(variant, specification)


def _extremes(space: Space) -> Iterator[VariantSpecification]:
    """Variants in which each domain shows each of its ends, or all values of a choice, while the others stay."""
    usual = VariantSpecification(space.algorithm, {name: _ends(domain)[0] for name, domain in space.domains.items()})
    yield usual
    for name, domain in space.domains.items():
        for value in _ends(domain)[1:]:
            yield replace(usual, hyperparameters={**usual.hyperparameters, name: value})


def _ends(domain: Domain) -> tuple[Value, ...]:
    return domain.values if isinstance(domain, Choice) else (domain.low, domain.high)
