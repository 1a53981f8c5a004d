"""The data card: what a log can prove, computed before any training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envs.card.card import DataCard, build_card
    from envs.card.findings import Finding

__all__ = ["DataCard", "Finding", "build_card"]
_HOMES = {"DataCard": "card", "build_card": "card", "Finding": "findings"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
