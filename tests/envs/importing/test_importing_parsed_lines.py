"""Lines that are parsed many at once say what the strict parser says of each of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.importing import parsed_lines
from envs.importing.reader_jsonl import open_reader, rows_of
from envs.importing.rows import ReadColumns, ReadRows
from envs.journal.columns import Objects

LEAVES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text('a:" \\é', max_size=6)


def _nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.text("a:b ", max_size=3)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
        max_leaves=12,
    )


@st.composite
def _objects(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Some of any names, or of the same ones with values of one kind each, as most logs have them."""
    if draw(st.booleans()):
        return draw(st.lists(st.dictionaries(st.text("ab:", max_size=2), _nested(LEAVES), max_size=4), min_size=1))
    numbers = st.floats(allow_nan=False, allow_infinity=False)
    kinds = st.sampled_from([numbers, numbers | st.integers(-(2**66), 2**66), st.text("ab:", max_size=3), LEAVES])
    names = draw(st.lists(st.text("ab", max_size=2), unique=True, min_size=1, max_size=3))
    shape = {name: draw(st.one_of(kinds.map(_alone), kinds.map(_listed), kinds.map(_inside))) for name in names}
    return draw(st.lists(st.fixed_dictionaries(shape), min_size=4, max_size=6))


def _alone(kind: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return kind


def _listed(kind: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(kind, max_size=2)


def _inside(kind: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"c": kind, "d": st.fixed_dictionaries({"e": kind})})


def _both_ways(path: Path, content: bytes) -> list[list[str]]:
    """The rows of a file by both parsers."""
    path.write_bytes(content)
    found = []
    for parser in (None, ...):
        with pytest.MonkeyPatch.context() as patch:
            if parser is None:
                patch.setattr(parsed_lines, "_parse_fast", None)
            found.append([repr(row) for batch in open_reader(str(path), {}).batches() for row in batch.rows])
    return found


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_both_parsers_read_the_same(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    text = "\n".join(map(json.dumps, data.draw(_objects())))
    for old, new in data.draw(
        st.lists(
            st.sampled_from(
                [
                    ('":', '" :'), ('"a"', '"b"'), (": ", ":"), (", ", ",\t"), ('":', '"\t:'), ("\n", "\r\n"),
                    ("\n", "\n \n"), ("}\n", "\n}"), ("}\n{", "},{"), ("null", "1e+300"),
                    ("true", "0.000123456789012345678901"),
                    ("false", "12345678901234567890.5"), ("null", "-1e-0000000000000000000007"),
                ]
            ),
            max_size=2,
        )
    ):  # fmt: skip
        text = text.replace(old, new)
    before, after = _both_ways(Path(tmp_path_factory.mktemp("parsing")) / "log.jsonl", text.encode() + b"\n")
    assert before == after


@pytest.mark.parametrize(
    "lines",
    [
        ['{"a":[{"x":1}', '{"y":2}]}', '{"b":1},{"c":2}'],
        ['{"a":[{"x":1}', '{"y":2}]}', '{"b":1},1e+300,{"c":2}'],
        ['{"a":[{"x":1}', '{"y":2}]}', '{"b":1},0,{"c":2}'],
        ['{"a":[{"x":1}', '{"y":2}]}', '{"b":1}', "1e+300"],
        ['{"a":1}', "1e+300", '{"a":1}'],
        ['{"a":1},1e+300,{"a":1}'],
        ['{"a":"x', 'y"}', '{"a":1},{"a":2}'],
        ['{"a":1', '"b":2}', '{"c":3},{"d":4}'],
        ['{"a":1}]', '[{"a":1}'],
        ['{"a":1}', "", '{"a":2}'],
        ['{"a":1}{"a":2}', ""],
    ],
)
def test_no_value_is_put_together_of_two_lines(tmp_path: Path, lines: list[str]) -> None:
    """However lines are joined to be parsed at once, what is wrong with one is not made good by another."""
    for more in (0, 6):  # with enough good lines for columns
        content = "\n".join([*lines, *['{"a":1}'] * more]).encode()
        before, after = _both_ways(tmp_path / "log.jsonl", content)
        assert before == after


@pytest.mark.parametrize(
    "number", ["9223372036854775808", "-9223372036854775809", "18446744073709551616", "1" + "0" * 30]
)
@pytest.mark.parametrize("form", ["%s", "[0.5,%s]", '{"b":%s}', '{"b":{"c":%s}}', "[[%s]]", '[{"b":%s}]'])
def test_no_integer_is_rounded(tmp_path: Path, number: str, form: str) -> None:
    """The fast parser makes a float of it, among floats too."""
    lines = ['{"a":%s}' % (form % "0.5")] * 5 + ['{"a":%s}' % (form % number)]
    before, after = _both_ways(tmp_path / "log.jsonl", "\n".join(lines).encode())
    assert before == after and number in after[-1]


@pytest.mark.parametrize(
    "line", ['{"a":1,"a":2}', '{"a":{"b":1,"b":2}}', '{"a":{"b":{"c":1,"c":2}}}', '{"a":[{"b":1,"b":2}]}']
)
@pytest.mark.parametrize("count", [1, 6])
def test_no_name_is_given_twice(tmp_path: Path, line: str, count: int) -> None:
    before, after = _both_ways(tmp_path / "log.jsonl", "\n".join([line] * count).encode())
    assert before == after and all("is given twice" in row for row in after)


def test_lines_of_the_same_names_come_as_columns() -> None:
    """Which is what the speed of an import stands on: floats as arrays, the objects in objects too."""
    line = b'{"a":0.5,"b":{"c":{"d":1.5}},"e":"x","f":[1,0.25],"g":12345678901234567,"h":null}\n'
    rows = rows_of("log", line * 6, 3)
    assert isinstance(rows, ReadColumns)
    found = rows.columns
    assert list(found) == ["a", "b", "e", "f", "g", "h"]
    assert np.array_equal(found["a"], [0.5] * 6)  # type: ignore[arg-type]
    inner = found["b"]
    assert isinstance(inner, Objects) and isinstance(inner.parts[0], Objects)
    assert np.array_equal(inner.parts[0].parts[0], [1.5] * 6)
    assert [row.row for row in rows] == [4, 5, 6, 7, 8, 9]
    assert repr([row.content for row in rows]) == repr([json.loads(line)] * 6)
    assert isinstance(rows_of("log", line * 6 + b'{"i":1}\n', 0), ReadRows)
