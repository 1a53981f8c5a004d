"""References to policies: ``scaling``, ``scaling@champion``, ``@previous``, ``@rule``, ``@14``, or a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ai_engine.deploy.registry import Registry
from algorithms.policy import Policy, load_policy
from algorithms.policy.rule import Rule
from envs.declaration import NAME
from envs.errors import RegistryError

NAMED = ("champion", "previous", "rule")


@dataclass(frozen=True, slots=True)
class Reference:
    """What a reference says.

    Attributes:
        agent: the agent, empty for a file.
        version: ``champion``, ``previous``, ``rule`` or a number; empty for a file.
        path: the artefact file, or ``None``.
    """

    agent: str = ""
    version: str = ""
    path: Path | None = None

    def __str__(self) -> str:
        return str(self.path) if self.path is not None else f"{self.agent}@{self.version}"


def parse_reference(text: str) -> Reference:
    """Read a reference.

    Raises:
        RegistryError: it is none; names the forms.
    """
    agent, separator, version = text.partition("@")
    version = version if separator else "champion"
    if NAME.fullmatch(agent) and (version in NAMED or (version.isascii() and version.isdigit())):
        return Reference(agent, version if version in NAMED else str(int(version)))
    if not separator and (os.sep in text or text.endswith(".json")):
        return Reference(path=Path(text))
    raise RegistryError(
        f"{text!r} is no reference",
        remedy="give NAME, NAME@champion, NAME@previous, NAME@rule, NAME@14 or a .json file",
    )


def resolve_reference(registry: Registry, text: str, *, base: Rule | None = None) -> Policy:
    """The policy that a reference names, bound to ``base`` where it stands on a rule.

    Raises:
        RegistryError: it names nothing.
        ArtefactError: the file is corrupt, or (a file) it needs ``base``.
    """
    reference = parse_reference(text)
    if reference.path is not None:
        return load_policy(reference.path, base=base)
    return registry.version(reference.agent, reference.version, base=base)
