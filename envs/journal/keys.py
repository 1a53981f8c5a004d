"""Keys of 64 bits that stand for events, episodes and steps: the same in every process.

What has another key is different. What has the same is looked at: two texts may share a key by chance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
MASK = (1 << 64) - 1
WORD = 8  # bytes that are mixed into a key at once
FEW = 8  # texts that are faster one by one
AT_ONCE = 1 << 22  # bytes of texts that are held side by side, each as long as the longest


def text_keys(texts: Sequence[str | None]) -> np.ndarray:
    """A key of each text, int64 (n,); 0 of ``None``.

    Many are worked out at once, word by word of all: to hash them one by one took a fifth of an import.
    """
    if len(texts) < FEW:
        return np.array([0 if text is None else _key(text.encode()) for text in texts], dtype=np.uint64).view(np.int64)
    written = [text.encode() for text in texts if text is not None]
    longest = max(map(len, written), default=0)
    words = longest // WORD + 1
    step = max(AT_ONCE // (words * WORD), 1)
    parts = (_keys(written[start : start + step], words) for start in range(0, len(written), step))
    found = np.concatenate([np.empty(0, dtype=np.int64), *parts])
    if len(written) == len(texts):
        return found
    keys = np.zeros(len(texts), dtype=np.int64)
    keys[[text is not None for text in texts]] = found
    return keys


def episode_keys(agent: str, episodes: np.ndarray) -> np.ndarray:
    """Keys of an agent's episodes, int64 (n,), of the keys of their names."""
    return paired_keys(episodes, text_keys([agent]))


def paired_keys(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Keys of pairs, int64 (n,), of two columns of int64."""
    first, second = (numbers.astype(np.int64).view(np.uint64) for numbers in (one, other))
    return _mixed(first ^ (second * _FIRST)).view(np.int64)


def _keys(texts: Sequence[bytes], words: int) -> np.ndarray:
    """Keys of texts that are shorter than so many words."""
    sizes = np.fromiter(map(len, texts), dtype=np.uint64, count=len(texts))
    padded = np.array(texts, dtype=f"S{words * WORD}").view("<u8").astype(np.uint64).reshape(-1, words)
    keys = (sizes + np.uint64(1)) * _SECOND
    for place in range(words):
        mixed = _mixed(keys ^ (padded[:, place] * _FIRST))
        # A text's key does not depend on the longer ones beside it.
        keys = np.where(sizes > np.uint64(place * WORD), mixed, keys) if place else mixed
    return keys.view(np.int64)


def _key(text: bytes) -> int:
    """The same of one text."""
    key = (len(text) + 1) * int(_SECOND) & MASK
    for place in range(0, max(len(text), 1), WORD):
        key ^= int.from_bytes(text[place : place + WORD], "little") * int(_FIRST) & MASK
        key = (key ^ key >> 29) * int(_SECOND) & MASK
        key ^= key >> 32
    return key


def _mixed(numbers: np.ndarray) -> np.ndarray:
    numbers = (numbers ^ (numbers >> np.uint64(29))) * _SECOND
    return np.asarray(numbers ^ (numbers >> np.uint64(32)))
