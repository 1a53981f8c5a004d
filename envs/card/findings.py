"""One finding of the data card: what is so, what follows from it, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

SEVERITIES = ("error", "warning", "information")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector found.

    Attributes:
        code: a stable name, such as ``deterministic_rule``.
        severity: ``error`` (it decides the grade), ``warning`` or ``information``.
        sentence: what is so, with its figure.
        consequence: what follows from it.
        remedy: what to do.
    """

    code: str
    severity: str
    sentence: str
    consequence: str
    remedy: str
