"""The command runs the parts that were asked for, and says what there is."""

from __future__ import annotations

import inspect
import json
import sys
from importlib import import_module
from types import ModuleType

import pytest

from benchmarks.rows import Row
from benchmarks.trust import __main__ as command
from benchmarks.trust.request import Request
from envs.errors import DataError


def test_every_own_part_is_measured_by_a_request() -> None:
    for name in command.PARTS:
        measure = import_module(f"benchmarks.trust.{name}").measure
        assert list(inspect.signature(measure).parameters) == ["request"]


def test_a_part_that_is_not_there_is_an_error() -> None:
    with pytest.raises(DataError, match=r"'luck' is no part.*coverage, .*power"):
        command.part("luck", Request())


def test_one_part_as_json(monkeypatch, capsys) -> None:
    asked: list[object] = []

    def measure(argument: object) -> list[Row]:
        asked.append(argument)
        return [Row("case", "metric", "", 1.0, "limit", 2.0, "goal", True)]

    module = ModuleType("benchmarks.trust.power")
    module.measure = measure  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "benchmarks.trust.power", module)
    monkeypatch.setattr(sys, "argv", ["trust", "--quick", "--json", "--only", "power"])
    with pytest.raises(SystemExit) as end:
        command.main()
    document = json.loads(capsys.readouterr().out)
    assert end.value.code == 0 and asked == [Request(quick=True)]
    assert document["benchmark"] == "trust power" and document["rows"][0]["ratio"] == 0.5
    assert document["environment"]["commit"] and document["environment"]["date"]
