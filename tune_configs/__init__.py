"""Search spaces, trials, the judge and the gate.

A search space of your own is made of these::

    from tune_configs import Choice, LogUniform, SearchSpace, Space, Uniform, VariantSpecification, WholeNumber
"""

from __future__ import annotations

import importlib
from typing import Any

# Public name: the module that defines it. Imported when first used, for what follows needs the extra ``train``.
_EXPORTS: dict[str, str] = {
    "Choice": "tune_configs.domains",
    "Uniform": "tune_configs.domains",
    "LogUniform": "tune_configs.domains",
    "WholeNumber": "tune_configs.domains",
    "Space": "tune_configs.search_space",
    "SearchSpace": "tune_configs.search_space",
    "VariantSpecification": "tune_configs.variant",
}

__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
