"""Parquet columns of a type that unpickles when it is asked for its values (as one of Ray's does) are not asked."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs.importing.readers import reader_of
from tests.envs.importing.import_reading import read


class PickledScalar(pa.ExtensionScalar):
    def as_py(self, **_: Any) -> Any:
        return pickle.loads(self.value.as_py())


class PickledType(pa.ExtensionType):
    def __init__(self) -> None:
        super().__init__(pa.binary(), "tests.pickled_object")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: Any, serialized: bytes) -> PickledType:
        return cls()

    def __arrow_ext_scalar_class__(self) -> type[PickledScalar]:
        return PickledScalar


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.fixture
def registered() -> Iterator[None]:
    pa.register_extension_type(PickledType())
    yield
    pa.unregister_extension_type("tests.pickled_object")


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("name", ["parquet", "rllib"])
def test_nothing_is_unpickled(tmp_path: Path, name: str) -> None:
    trap, path = tmp_path / "trap", tmp_path / "log.parquet"
    pickled = pa.ExtensionArray.from_storage(PickledType(), pa.array([pickle.dumps(Touch(trap))] * 2, pa.binary()))
    inside = pa.StructArray.from_arrays([pickled], names=["x"])
    for column in (pickled, inside):
        pq.write_table(pa.table({"observation": column, "action": [1, 2]}), path)
        assert isinstance(pq.read_schema(path).field("observation").type, PickledType | pa.StructType)
        rows = read(path, name)
        assert rows and not trap.exists()
    table = pa.table({"observation": pickled, "action": [1, 2]})
    if name == "parquet":
        from envs.importing.reader_frame import FrameReader

        assert [row for batch in FrameReader(table, "frame").batches() for row in batch.rows]
        assert reader_of(str(path), name) and not trap.exists()
    table["observation"].to_pylist()
    assert trap.exists()  # it was a trap
