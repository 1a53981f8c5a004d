"""One line of progress, and no library on the terminal."""

from __future__ import annotations

import copy
import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ai_engine.cli.output import ProgressLine, quiet_libraries
from envs.errors import DataError


def screen(written: str, width: int = 200) -> str:
    """What a terminal shows in the end: carriage return, erase to the end of the line, line feed."""
    rows, cells, column = [], [" "] * width, 0
    text = written.replace("\x1b[K", "\0")
    for character in text:
        if character == "\r":
            column = 0
        elif character == "\0":
            cells[column:] = [" "] * (width - column)
        elif character == "\n":
            rows.append("".join(cells).rstrip())
            cells, column = [" "] * width, 0
        else:
            cells[column] = character
            column += 1
    return "\n".join([*rows, "".join(cells).rstrip()])


@pytest.mark.parametrize("no_color", [False, True])
def test_a_terminal_has_one_line_that_is_gone_in_the_end(monkeypatch: pytest.MonkeyPatch, no_color: bool) -> None:
    monkeypatch.setenv("NO_COLOR", "1" if no_color else "")
    stream = io.StringIO()
    line = ProgressLine(stream, interactive=True)
    line.transient("starting …")
    for text in ("variants 10 of 16, best +0.41", "gate", "a text\nof two lines"):
        line(text)
        assert screen(stream.getvalue()) == " ".join(text.split())
    line.done()
    assert screen(stream.getvalue()) == ""
    assert "\n" not in stream.getvalue()
    assert ("\x1b" in stream.getvalue()) != no_color


def test_a_long_text_is_cut_before_it_wraps() -> None:
    stream = io.StringIO()
    ProgressLine(stream, interactive=True)("x" * 500)
    assert len(screen(stream.getvalue(), 600)) == 79


def test_without_a_terminal_each_phase_leaves_its_last_state() -> None:
    stream = io.StringIO()
    line = ProgressLine(stream)
    line.transient("starting …")
    for text in ("logging 1 of 2", "logging 2 of 2", "variants 1 of 16, best +0.2", "variants 16 of 16, best +0.41"):
        line(text)
    assert stream.getvalue() == "logging 2 of 2\n"
    line.done()
    line.done()
    assert stream.getvalue() == "logging 2 of 2\nvariants 16 of 16, best +0.41\n"


def test_phases_that_alternate_do_not_fill_a_log() -> None:
    stream = io.StringIO()
    line = ProgressLine(stream)
    for index in range(100):
        line(f"fitting {index}")
        line(f"judging {index}")
    line.done()
    assert stream.getvalue().count("\n") == 2


def test_nothing_is_printed_where_nothing_was_reported() -> None:
    for interactive in (False, True):
        stream = io.StringIO()
        ProgressLine(stream, interactive=interactive).done()
        assert stream.getvalue() == ""


def test_a_terminal_that_went_away_does_not_stop_the_work() -> None:
    stream = io.StringIO()
    line = ProgressLine(stream, interactive=True)
    stream.close()
    line("variants 1 of 2")
    line.done()


def test_a_copy_that_travels_to_another_process_is_silent() -> None:
    stream = io.StringIO()
    line = ProgressLine(stream, interactive=True)
    line("variants 1 of 2")
    shown = stream.getvalue()
    copy.deepcopy(line)("variants 2 of 2")  # by the protocol that pickling uses
    assert stream.getvalue() == shown


def _noise() -> None:
    """Every way to a terminal that a library has."""
    print("by print")
    sys.stderr.write("by sys.stderr\n")
    os.write(1, b"by descriptor 1\n")
    os.write(2, b"by descriptor 2\n")
    subprocess.run([sys.executable, "-c", "print('by a child')"], check=True)
    logging.getLogger("noise").error("by a logger")


NOISE = ("by print", "by sys.stderr", "by descriptor 1", "by descriptor 2", "by a child", "by a logger")


def test_no_way_to_the_terminal_is_left_open(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    before = os.fstat(1), os.fstat(2)
    with quiet_libraries(tmp_path) as terminal:
        handler = logging.StreamHandler()
        logging.getLogger("noise").addHandler(handler)
        _noise()
        terminal.write("ours\n")
        (log,) = tmp_path.iterdir()
        sys.stdout.flush()
        written = log.read_text()
    assert all(text in written for text in NOISE)
    print("afterwards")
    captured = capfd.readouterr()
    assert captured.out == "afterwards\n"
    assert captured.err == "ours\n"
    assert list(tmp_path.iterdir()) == []
    assert [os.path.samestat(*pair) for pair in zip(before, (os.fstat(1), os.fstat(2)), strict=True)] == [True, True]
    handler.stream.write("")  # what a library still holds is not a closed file
    logging.getLogger("noise").removeHandler(handler)


@pytest.mark.parametrize(
    ("error", "kept"), [(ValueError("x"), True), (DataError("x"), False), (KeyboardInterrupt(), False)]
)
def test_the_log_is_kept_for_failures_that_are_not_the_users(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, error: BaseException, kept: bool
) -> None:
    with pytest.raises(type(error)), quiet_libraries(tmp_path):
        _noise()
        raise error
    assert capfd.readouterr() == ("", "")
    logs = list(tmp_path.iterdir())
    assert len(logs) == kept
    if kept:
        assert getattr(error, "log_path", None) == logs[0]
        assert all(text in logs[0].read_text() for text in (*NOISE[:-1], "Traceback"))
        assert logs[0].stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    with quiet_libraries(tmp_path / "missing"):
        print("hidden")
    assert not (tmp_path / "missing").exists()


def test_shown_noise_goes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_libraries(show=True):
        os.write(1, b"by descriptor 1\n")
        print("by print")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert sorted(captured.err.splitlines()) == ["by descriptor 1", "by print"]
