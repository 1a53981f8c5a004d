"""Readers load their packages when they are opened, and say how to install what is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from envs.errors import MissingExtraError
from envs.exporting.minari import export_minari
from envs.exporting.parquet import export_parquet
from envs.importing.readers import FORMATS
from tests.envs.importing.import_reading import DATA, read
from tests.envs.samples import episode
from tests.envs.samples import specification as declared_as


@pytest.mark.parametrize(
    ("name", "source", "package", "extra"),
    [
        ("d3rlpy", "d3rlpy_discrete.h5", "h5py", "importers"),
        ("minari", "minari", "h5py", "importers"),
        ("rllib", "rllib_columns", "pyarrow.parquet", "train"),
        ("rllib", "rllib_episodes", "msgpack", "importers"),
    ],
)
def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, source: str, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf'install it with: pip install "retrainer\[{extra}\]"'):
        read(DATA / source, name)


def test_what_an_export_misses_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = episode("e", 2, terminated=True)
    monkeypatch.setitem(sys.modules, "minari.dataset.minari_storage", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"retrainer\[importers\]"):
        export_minari(iter(rows), tmp_path / "a-v0", declared_as())
    with pytest.raises(MissingExtraError, match=r"retrainer\[train\]"):
        export_parquet(lambda: rows, tmp_path / "a.parquet", agent="scaling")
    assert list(tmp_path.iterdir()) == []


def test_no_reader_loads_a_package_before_it_is_opened() -> None:
    modules = [module for name, module in FORMATS.items() if name not in ("csv", "jsonl", "parquet")]
    heavy = ("h5py", "minari", "msgpack", "pyarrow", "gymnasium", "ray", "torch", "pandas")
    loaded = f"print([name for name in {heavy!r} if name in sys.modules])"
    code = f"import sys\nfor name in {modules!r}: __import__(name)\n{loaded}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
