"""Names that nobody has twice: not in threads, not after a fork, whatever the program does to its random numbers."""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

from envs.event_ids import new_event_id

COUNT = 1_000


def drawn(count):
    return [new_event_id() for _ in range(count)]


def test_no_name_comes_twice_in_threads_nor_after_a_fork(monkeypatch):
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)  # the moment tells none apart
    with ThreadPoolExecutor(4) as pool:
        names = [name for part in pool.map(drawn, [COUNT] * 4) for name in part]
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, "".join(drawn(5)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    text = os.read(reading, 5 * 32).decode()
    names += [text[start : start + 32] for start in range(0, 160, 32)]
    for _ in range(2):
        random.seed(0)
        names += drawn(COUNT)
    assert len(set(names)) == len(names) == 6 * COUNT + 5
    assert {len(name) for name in names} == {32} and set("".join(names)) == set("0123456789abcdef")


def test_names_are_in_the_order_of_their_moments(monkeypatch):
    for moment in (1_700_000_000_000, 1_700_000_000_001, 1_999_999_999_999):
        monkeypatch.setattr(time, "time_ns", lambda moment=moment: moment * 1_000_000)
        assert {int(name[:12], 16) for name in drawn(100)} == {moment}
