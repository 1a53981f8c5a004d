"""Names that nobody has twice: not in threads, not after a fork."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

from envs.event_ids import DRAWN_AT_ONCE, new_event_id

COUNT = 3 * DRAWN_AT_ONCE + 7


def drawn(count):
    return [new_event_id() for _ in range(count)]


def test_no_name_comes_twice_in_threads_nor_after_a_fork():
    with ThreadPoolExecutor(4) as pool:
        names = [name for part in pool.map(drawn, [COUNT] * 4) for name in part]
    new_event_id()  # some wait when the fork comes
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, "".join(drawn(5)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    text = os.read(reading, 5 * 32).decode()
    names += [text[start : start + 32] for start in range(0, 160, 32)] + drawn(COUNT)
    assert len(set(names)) == len(names) == 5 * COUNT + 5
    assert {len(name) for name in names} == {32} and set("".join(names)) == set("0123456789abcdef")


def test_names_are_in_the_order_of_their_drawing_and_cannot_be_guessed_from_it(monkeypatch):
    for moment in (1_700_000_000_000, 1_700_000_000_001, 1_999_999_999_999):
        monkeypatch.setattr(time, "time_ns", lambda moment=moment: moment * 1_000_000)
        names = drawn(2 * DRAWN_AT_ONCE)[DRAWN_AT_ONCE:]  # the first may have waited
        assert {int(name[:12], 16) for name in names} == {moment}
        assert len({name[12:] for name in names}) == len(names)
