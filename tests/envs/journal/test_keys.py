"""Keys stand for texts: each for its own, whatever the others are, and as good as never for two."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from envs.journal.keys import FEW, paired_keys, text_keys

TEXTS = st.lists(st.none() | st.text(max_size=40), min_size=FEW, max_size=3 * FEW)


@given(TEXTS)
def test_a_key_depends_on_its_text_alone(texts: list[str | None]) -> None:
    assert text_keys(texts).tolist() == [int(text_keys([text])[0]) for text in texts]


def test_different_texts_have_different_keys() -> None:
    counted = [f"{number}" for number in range(100_000)]
    alike = [name * 4 for name in counted] + [f"{number:040x}" for number in range(100_000)]
    ends = ["", "\0", "\0\0", "a", "a\0", "\0a", "a" * 7, "a" * 8, "a" * 9, "a" * 8 + "\0", "a" * 16]
    texts = list(dict.fromkeys([*counted, *alike, *ends]))
    keys = text_keys(texts)
    assert len(np.unique(keys)) == len(texts) and 0 not in keys
    for bits in (keys & 0xFFF, keys >> 52):  # neither end of a key is worse than chance
        assert np.bincount(bits - bits.min(), minlength=4096).std() < 1.2 * np.sqrt(len(texts) / 4096)


def test_a_key_is_the_same_for_ever() -> None:
    """Journals hold them."""
    texts = ["", "e1", "6f1c8f0e-3d5b-4a7e-9d0a-0b6a4f4f2c11", "größer"]
    keys = [-7028287601387930720, 977075213667353369, 7215802294217679820, 2458802482188534952]
    assert text_keys(texts).tolist() == keys
    pairs = paired_keys(np.array([1, -2]), np.array([3, 2**62]))
    assert pairs.tolist() == [-6194246054440798403, -3316086285216644946]
