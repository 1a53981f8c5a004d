"""The data card: what a log can prove, computed before any training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envs.lazy import lazily

if TYPE_CHECKING:
    from envs.card.card import DataCard, build_card
    from envs.card.findings import Finding

__all__ = ["DataCard", "Finding", "build_card"]
_HOMES = {"DataCard": ".card", "build_card": ".card", "Finding": ".findings"}

__getattr__, __dir__ = lazily(__name__, _HOMES)
