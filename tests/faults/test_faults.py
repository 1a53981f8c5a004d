"""What happens to disks, clocks and processes does not happen to the log. The long form: benchmarks.faults."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import fault_disks
from benchmarks.fault_disks import cut_tail, flipped_page, full_disk, jumping_clock, read_only_home

ROOT = Path(__file__).parents[2]


def killed(kills: int) -> list[dict[str, object]]:
    """Rows of the benchmark, in a process that may fork: this one may have used the table's own threads."""
    command = [sys.executable, "-m", "benchmarks.faults", "--only", "kills", "--kills", str(kills), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1800)
    assert done.stdout, done.stderr
    return list(json.loads(done.stdout)["rows"])


def test_processes_that_are_killed_lose_and_double_nothing() -> None:
    rows = killed(10)
    assert [row for row in rows if not row["holds"]] == []
    assert [row["metric"] for row in rows] == [
        "acknowledged lost",
        "events doubled",
        "without a champion",
        "needed help",
    ]


@pytest.mark.full
def test_two_hundred_kills() -> None:
    assert [row for row in killed(200) if not row["holds"]] == []


@pytest.mark.filterwarnings("ignore:.*was damaged:RuntimeWarning")
@pytest.mark.parametrize("fault", [full_disk, read_only_home, jumping_clock, cut_tail, flipped_page])
def test_a_fault_of_the_disk_or_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Path], list[str]]
) -> None:
    monkeypatch.setattr(fault_disks, "DAMAGES", 6)
    assert fault(tmp_path) == []
