"""A result that is printed as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Markdown:
    """Gives a result's Markdown where its text is asked for.

    Attributes:
        result: has ``to_markdown``.
    """

    result: Any

    def to_text(self) -> str:
        """The Markdown."""
        return str(self.result.to_markdown())
