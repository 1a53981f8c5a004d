"""A search space of the user's own, from a Python file, checked against the agent that it is for."""

from __future__ import annotations

import importlib.util
import traceback
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
        raise SpecificationError(str(error), where=f"{path}{_line(error, file)}", remedy="correct it") from error
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise SpecificationError(
            f"fails ({reason})", where=f"{path}{_line(error, file)}", remedy="correct it"
        ) from error
    found = getattr(module, NAME, None)
    if not isinstance(found, SearchSpace):
        raise SpecificationError(
            f"{NAME} is {'missing' if found is None else f'a {type(found).__name__}'}",
            where=str(path),
            remedy=f"write {NAME} = SearchSpace(...), from tune_configs import SearchSpace",
        )
    return found


def _line(error: Exception, file: Path) -> str:
    """``:LINE`` of a file that an error comes from, or empty."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return f":{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    return next((f":{frame.lineno}" for frame in reversed(frames) if frame.filename == str(file)), "")


def check_space(space: SearchSpace, specification: AgentSpecification) -> None:
    """Check every variant of the portfolio and both ends of every domain before anything is trained.

    Raises:
        SpecificationError: an unknown algorithm, hyperparameter or field, or a value out of its range.
    """
    for number, variant in enumerate(space.portfolio):
        _check(variant, specification, f"portfolio[{number}]")
    for number, each in enumerate(space.spaces):
        for variant in _extremes(each):
            _check(variant, specification, f"spaces[{number}]")


def _check(variant: VariantSpecification, specification: AgentSpecification, place: str) -> None:
    try:
        check_variant(variant, specification)
    except SpecificationError as error:
        where = f"{place}: {error.where}" if error.where else f"{place} ({variant.algorithm})"
        raise SpecificationError(error.problem, where=where, remedy=error.remedy) from error


def _extremes(space: Space) -> Iterator[VariantSpecification]:
    """Variants in which each domain shows each of its ends, or all values of a choice, while the others stay."""
    usual = VariantSpecification(space.algorithm, {name: _ends(domain)[0] for name, domain in space.domains.items()})
    yield usual
    for name, domain in space.domains.items():
        for value in _ends(domain)[1:]:
            yield replace(usual, hyperparameters={**usual.hyperparameters, name: value})


def _ends(domain: Domain) -> tuple[Value, ...]:
    return domain.values if isinstance(domain, Choice) else (domain.low, domain.high)
