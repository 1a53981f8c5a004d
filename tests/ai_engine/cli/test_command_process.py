"""The console command as a process: light, quiet, interruptible."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

HEAVY = ("ray", "torch", "pyarrow", "scipy", "gymnasium", "jinja2", "deltalake", "pandas", "numpy")

FAKES = """
import os, sys, time
import ai_engine
from ai_engine.interrupts import Interrupted

class Result:
    def to_json(self): return {"schema_version": 1}
    def to_text(self): return "One plain sentence."

def tune(name, progress=None, **keywords):
    import atexit
    atexit.register(lambda: os.write(2, b"(raylet) a last line\\n"))
    os.write(1, b"(pid=7) noise\\n")
    os.write(2, b"WARNING noise\\n")
    progress("variants 1 of 16, best +0.41")
    open("ready", "w").close()
    try:
        time.sleep(float(os.environ.get("NAP", "0")))
    except KeyboardInterrupt:
        raise Interrupted("1 of 16 variants is kept in run r1", resume_command="retrainer runs resume r1") from None
    return Result()

ai_engine.tune = tune
from ai_engine.cli import main
main()
"""


def _environment(**variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(FAKES)
    return path


def _start(program: Path, *arguments: str, ignored: bool = False, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(program), "tune", "scaling", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=program.parent,
        env=_environment(**variables),
        preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if ignored else None,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["tune", "--help"], ["--version"], ["tune", "x", "--trials", "0"]])
def test_help_and_usage_errors_import_nothing_heavy_and_are_quick(arguments: list[str], tmp_path: Path) -> None:
    code = textwrap.dedent(f"""
        import atexit, json, sys, time
        def look():
            heavy = [name for name in {HEAVY!r} if name in sys.modules]
            open("seen", "w").write(json.dumps([heavy, time.process_time()]))
        atexit.register(look)
        sys.argv = ["retrainer", *{arguments!r}]
        from ai_engine.cli import main
        main()
    """)
    best = float("inf")
    for _ in range(3):
        subprocess.run([sys.executable, "-c", code], capture_output=True, env=_environment(), cwd=tmp_path, check=False)
        heavy, seconds = json.loads((tmp_path / "seen").read_text())
        assert heavy == []
        best = min(best, seconds)
    assert best < 0.3  # processor time, start of the interpreter included: other work of the machine does not count


def test_nothing_of_a_library_reaches_the_terminal_even_at_the_end(program: Path) -> None:
    output, errors = _start(program, "--json").communicate(timeout=60)
    assert json.loads(output) == {"schema_version": 1}
    assert errors == "variants 1 of 16, best +0.41\n"


@pytest.mark.parametrize("ignored", [False, True], ids=["foreground", "started in the background"])
def test_an_interrupt_ends_with_130_and_the_command_to_resume(program: Path, ignored: bool) -> None:
    process = _start(program, ignored=ignored, NAP="60")
    deadline = time.monotonic() + 30
    while not (program.parent / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert output == ""
    assert errors.splitlines()[-2:] == ["1 of 16 variants is kept in run r1", "resume with: retrainer runs resume r1"]
    assert "Traceback" not in errors


def test_a_reader_that_went_away_is_no_failure(program: Path) -> None:
    process = _start(program)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert "Error" not in errors and "Traceback" not in errors


def test_a_terminal_that_knows_few_characters_gets_the_result(program: Path) -> None:
    program.write_text(FAKES.replace("One plain sentence.", "α 0.0304 – spent"))
    output, _ = _start(program, PYTHONIOENCODING="latin-1").communicate(timeout=60)
    assert output == "? 0.0304 ? spent\n"


def test_what_a_damaged_journal_lost_is_said(tmp_path: Path) -> None:
    from envs.home import Home
    from envs.journal.journal import Journal
    from envs.record import DecisionRecord

    home = Home.create(tmp_path)
    row = {"agent": "a", "observation": [1.0], "action": "up"}
    with Journal(home.journal_path) as journal:
        journal.append([DecisionRecord.from_mapping({**row, "event_id": str(index)}) for index in range(300)])
    content = home.journal_path.read_bytes()
    home.journal_path.write_bytes(content[: len(content) * 2 // 3])
    command = [
        sys.executable,
        "-c",
        "from ai_engine.cli import main; main()",
        "status",
        "--json",
        "--home",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(), check=True)
    assert json.loads(done.stdout)
    assert done.stderr.startswith("warning: ") and "was damaged" in done.stderr and "could not be read" in done.stderr
