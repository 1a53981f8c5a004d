"""A function of the user's own as the policy that it would be where an agent served it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from algorithms.policy import BaseReference, Policy
from algorithms.policy.rule import distribution
from envs.declaration import RULE
from envs.errors import DataError, RecordError
from envs.home import Home
from envs.rules import load_rule
from envs.specification import AgentSpecification

Reference = str | Callable[[Any], Any]


def is_function(reference: Reference) -> bool:
    """Whether a reference is a function, or names one as ``module:function``.

    Raises:
        DataError: it is no reference at all.
    """
    if callable(reference):
        return True
    if not isinstance(reference, str):
        raise DataError(
            f"{reference!r} is no policy",
            where="reference",
            remedy="give NAME@14, a .json file or module:function as a text, or a function",
        )
    return RULE.fullmatch(reference) is not None


def served(specification: AgentSpecification, reference: Reference, home: Home, *, where: str) -> Policy:
    """A function, or what ``module:function`` names, with the agent's exploration floor.

    Args:
        specification: of the agent that would serve it.
        reference: for which :func:`is_function`.
        home: its folder is searched for the module first.
        where: the command, for messages.

    Raises:
        SpecificationError: the module or function is not there, or fails when it is imported.
    """
    if callable(reference):
        function, name = reference, _name(reference)
    else:
        function, name = load_rule(reference, home.path, where=where), reference

    def answering(observation: Any) -> Any:
        try:
            answer = function(observation)
        except Exception as error:
            raise DataError(
                f"failed at the observation {observation!r} ({type(error).__name__}: {error})",
                where=name,
                remedy="answer every observation of the log with an action or {action: probability}",
            ) from error
        try:
            distribution(answer, specification.actions)
        except RecordError as error:
            problem = f"at the observation {observation!r}: {error.problem}"
            raise DataError(problem, where=name, remedy=error.remedy) from None
        return answer

    return Policy(
        agent=name,  # not the log's own: its base is this callable, and not the rule that the log knows
        version="callable",
        observation=specification.observation,
        actions=specification.actions,
        explore=specification.explore,
        base=BaseReference(name),
        rule=answering,
    )


def _name(function: Callable[[Any], Any]) -> str:
    module = getattr(function, "__module__", type(function).__module__)
    return f"{module}:{getattr(function, '__qualname__', type(function).__qualname__)}"
