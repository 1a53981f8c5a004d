"""Event files that TensorBoard reads: the format itself is read here, checksums and all, not with what wrote it."""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ai_engine.runs import Run
from ai_engine.tracking import track_sync
from ai_engine.tune_result import TuneResult
from envs.home import Home
from tests import homes

CASTAGNOLI = 0x82F63B78


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), bit by bit."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (CASTAGNOLI if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    """The checksum as TFRecord files have it."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events(folder: Path) -> Iterator[Any]:
    """The events of a folder's one file; every length and checksum must fit."""
    (path,) = folder.glob("events.out.tfevents.*")
    data, position = path.read_bytes(), 0
    while position < len(data):
        head = data[position : position + 8]
        (length,), (of_head,) = struct.unpack("<Q", head), struct.unpack_from("<I", data, position + 8)
        body = data[position + 12 : position + 12 + length]
        (of_body,) = struct.unpack_from("<I", data, position + 12 + length)
        assert (of_head, of_body) == (masked(head), masked(body))
        yield importlib.import_module("tensorboardX.proto.event_pb2").Event.FromString(body)
        position += 16 + length
    assert position == len(data)


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for event in events(folder):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def told(home: Home) -> int:
    (done,) = track_sync(track=["tensorboard"], home=home).done
    return int(done.trials)


def test_the_checksum_is_the_standards() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def test_every_trial_is_a_folder_with_its_curves(swept: tuple[Home, TuneResult]) -> None:
    home, result = swept
    told(home)
    for variant in result.variants:
        if variant.index >= homes.TRIALS:
            continue
        folder = home.runs_path / result.run / "tensorboard" / f"{variant.index:04d}"
        found = scalars(folder)
        curve = found[f"training/{variant.curve.metric}"]
        assert [step for step, _ in curve] == list(range(1, len(variant.curve.values) + 1))
        assert [value for _, value in curve] == pytest.approx(list(variant.curve.values))  # float32 in the file
        checkpoints = [(each.iteration, pytest.approx(each.metric)) for each in variant.checkpoints]
        assert found["checkpoints/metric"] == checkpoints
        assert ("gain/lower" in found) == variant.gain.usable
        if variant.gain.usable:
            assert [value for _, value in found["gain/lower"]] == pytest.approx([variant.gain.lower])
        hparams = [v.tag for event in events(folder) for v in event.summary.value if v.tag.startswith("_hparams_/")]
        assert len(hparams) == 3


def test_what_is_there_is_left_as_it_is_and_what_changed_is_written_anew(swept: tuple[Home, TuneResult]) -> None:
    home, result = swept
    root = home.runs_path / result.run / "tensorboard"
    first = told(home)
    files = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert first == len(list(root.iterdir())) >= homes.TRIALS
    assert told(home) == 0
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == files
    (root / "0002" / "digest").unlink()  # as if it had been cut short
    assert told(home) == 1
    Run.open(home, result.run).update(tags={"team": "payments"})
    assert told(home) == first
    # One event file a folder, or TensorBoard would show both.
    assert all(len(list(folder.glob("events*"))) == 1 for folder in root.iterdir())
