"""Keys of 64 bits that stand for events, episodes and steps: the same in every process.

What has another key is different. What has the same is looked at: two texts may share a key by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


def text_keys(texts: Sequence[str | None]) -> np.ndarray:
    """A key of each text, int64 (n,); 0 of ``None``."""
    digests = [blake2b(text.encode(), digest_size=8).digest() if text is not None else bytes(8) for text in texts]
    return np.frombuffer(b"".join(digests), dtype="<i8").astype(np.int64)


def episode_keys(agent: str, episodes: np.ndarray) -> np.ndarray:
    """Keys of an agent's episodes, int64 (n,), of the keys of their names."""
    return paired_keys(episodes, text_keys([agent]))


def paired_keys(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Keys of pairs, int64 (n,), of two columns of int64."""
    mixed = one.astype(np.int64).view(np.uint64) ^ (other.astype(np.int64).view(np.uint64) * _FIRST)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _SECOND
    return (mixed ^ (mixed >> np.uint64(32))).view(np.int64)
