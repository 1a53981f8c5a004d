"""Search spaces, trials, the judge and the gate.

A search space of your own is made of these::

    from tune_configs import Choice, LogUniform, SearchSpace, Space, Uniform, VariantSpecification, WholeNumber
"""

from __future__ import annotations

from envs.lazy import lazily

# Public name: the module that defines it. Imported when first used, for what follows needs the extra ``train``.
_HOMES = {
    "Choice": ".domains",
    "Uniform": ".domains",
    "LogUniform": ".domains",
    "WholeNumber": ".domains",
    "Space": ".search_space",
    "SearchSpace": ".search_space",
    "VariantSpecification": ".variant",
}

__all__ = list(_HOMES)

__getattr__, __dir__ = lazily(__name__, _HOMES)
