"""Replay buffers: rings of numpy columns, sampled uniformly or by priority. Needs numpy alone."""

from __future__ import annotations

from envs.lazy import lazily

_HOMES = {"Batch": ".uniform", "PrioritizedReplay": ".prioritized", "SumTree": ".sum_tree", "UniformReplay": ".uniform"}
__all__ = sorted(_HOMES)

__getattr__, __dir__ = lazily(__name__, _HOMES)
