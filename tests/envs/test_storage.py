"""The storage interface: whoever creates first wins, and readers never see half a write."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.storage import LocalStorage, Storage

NAMES = st.text("abc.-_é 1", min_size=1, max_size=5).filter(lambda name: name not in (".", ".."))
KEYS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


def test_behaves_like_a_dictionary(tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(["create", "replace", "delete"]), KEYS, st.binary(max_size=20))))
    def check(steps: list[tuple[str, str, bytes]]) -> None:
        storage: Storage = LocalStorage(tmp_path_factory.mktemp("storage"))
        model: dict[str, bytes] = {}
        for step, key, content in steps:
            clash = any(key.startswith(f"{other}/") or other.startswith(f"{key}/") for other in model)
            if clash or (Path(storage.root, key).is_dir()):  # type: ignore[attr-defined]
                continue  # a file system has no key below another key
            if step == "create":
                assert storage.create_if_absent(key, content) is (key not in model)
                model.setdefault(key, content)
            elif step == "replace":
                storage.replace(key, content)
                model[key] = content
            else:
                storage.delete(key)
                model.pop(key, None)
        assert storage.list() == sorted(model)
        assert {key: storage.read(key) for key in model} == model
        for prefix in ("a", "ab", "a/", "b/a"):
            assert storage.list(prefix) == sorted(key for key in model if key.startswith(prefix))

    check()


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/./b", ".tmp-1", "a/.tmp-1", "a\0b"])
def test_keys_cannot_leave_the_root(tmp_path: Path, key: str) -> None:
    storage = LocalStorage(tmp_path / "root")
    for call in (
        storage.read,
        storage.delete,
        lambda k: storage.replace(k, b""),
        lambda k: storage.create_if_absent(k, b""),
    ):
        with pytest.raises(ValueError, match="not a storage key"):
            call(key)
    assert list(tmp_path.iterdir()) == []


def test_absent_keys(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "root")
    with pytest.raises(FileNotFoundError):
        storage.read("a")
    storage.delete("a")
    assert storage.list() == [] and storage.list("a/b") == []


def _race(root: Path, name: int, wins: object) -> None:
    storage = LocalStorage(root)
    for index in range(30):
        if storage.create_if_absent(f"ledger/{index:08d}", str(name).encode()):
            wins.put((index, name))  # type: ignore[attr-defined]


def test_one_of_many_processes_creates_each_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    wins = context.Queue()
    workers = [context.Process(target=_race, args=(tmp_path, name, wins)) for name in range(3)]
    for worker in workers:
        worker.start()
    found = [wins.get(timeout=30) for _ in range(30)]
    for worker in workers:
        worker.join(30)
    assert wins.empty()
    assert sorted(index for index, _ in found) == list(range(30))
    storage = LocalStorage(tmp_path)
    assert {int(key[-8:]): int(storage.read(key)) for key in storage.list("ledger/")} == dict(found)


def test_readers_see_the_old_or_the_new_content(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    contents = {bytes([value]) * 100_000 for value in range(5)}
    storage.replace("x", next(iter(contents)))
    stop = threading.Event()
    seen: list[bytes] = []

    def read() -> None:
        while not stop.is_set():
            seen.append(storage.read("x"))

    reader = threading.Thread(target=read)
    reader.start()
    for content in list(contents) * 4:
        storage.replace("x", content)
    stop.set()
    reader.join()
    assert set(seen) <= contents
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = LocalStorage(tmp_path)
    storage.replace("x", b"old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    for call in (storage.replace, storage.create_if_absent):
        with pytest.raises(OSError, match="disk full"):
            call("x" if call == storage.replace else "y", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert storage.read("x") == b"old"


def test_mode_of_secret_files(tmp_path: Path) -> None:
    LocalStorage(tmp_path, mode=0o600).create_if_absent("key", b"secret")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
