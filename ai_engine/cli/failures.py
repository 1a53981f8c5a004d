"""From an exception to what the user reads: one line, a remedy, an exit code."""

from __future__ import annotations

import errno
import os
import shlex
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from envs.errors import HomeError, MissingExtraError, RetrainerError
from envs.storage import TEMPORARY

TRAINING_MODULES = frozenset({"ray", "torch", "pyarrow", "scipy", "gymnasium", "jinja2", "cma", "pandas"})
INSTALL = 'pip install "retrainer[train]"'
INTERRUPTED = 130
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a command did not do what was asked.

    Attributes:
        exit_code: of the process.
        kind: the exception's name, for programs.
        message: one line, for people.
        resume: what to type to go on, where that makes sense.
        log: file with the libraries' output and the traceback, where it was kept.
        help: the help that was shown instead of an error line.
    """

    exit_code: int
    kind: str
    message: str
    resume: str = ""
    log: str = ""
    help: str = ""

    def lines(self) -> list[str]:
        """What goes to standard error."""
        if self.exit_code == INTERRUPTED:
            return [self.message, *([f"resume with: {self.resume}"] if self.resume else [])]
        return [self.help or f"error: {self.message}"]

    def to_json(self) -> dict[str, Any]:
        """What goes to standard output when JSON was asked for."""
        error = {"type": self.kind, "message": self.message}
        extra = {"resume_command": self.resume, "log": self.log}
        return {"schema_version": 1, "error": error | {name: value for name, value in extra.items() if value}}


def failure(error: BaseException, arguments: Sequence[str]) -> Failure:
    """What to say of an exception, and how to exit.

    Args:
        error: what a command raised.
        arguments: of the command line, for what to type again.
    """
    error = _cause(error)
    again = shlex.join(["retrainer", *arguments])
    kind, log = type(error).__name__, str(getattr(error, "log_path", ""))
    seen = f"; the log is {log}" if log else ""
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        resume = str(getattr(error, "resume_command", "")) or again
        return Failure(INTERRUPTED, "Interrupted", "interrupted", resume)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        path = error.ctx.command_path
        return Failure(2, "UsageError", f"a command is missing; see `{path} --help`", help=error.format_message())
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        see = f"; see `{context.command_path} --help`" if context else ""
        return Failure(error.exit_code, "UsageError", one_line(error.format_message()).rstrip(".") + see)
    if isinstance(error, RetrainerError) and error.exit_code == INTERRUPTED:
        place = f"{error.where}: " if error.where else ""
        return Failure(
            INTERRUPTED, kind, one_line(place + error.problem), str(getattr(error, "resume_command", "")) or again
        )
    if isinstance(error, RetrainerError):
        return Failure(error.exit_code, kind, one_line(error) + seen, log=log)
    text = one_line(error)
    message = f"{kind}: {text}" if text else kind
    return Failure(1, kind, f"{message}{seen}; run again with --debug for the traceback", log=log)


def unusable(error: OSError) -> HomeError | None:
    """The user's side of a refusal by the system: no permission, a read-only or a full disk."""
    if error.errno not in REFUSED or not error.filename:
        return None
    path = Path(os.fsdecode(error.filename))
    where = path.parent if path.name.startswith(TEMPORARY) else path
    problem = (error.strerror or "cannot be used").lower()
    return HomeError(problem, where=str(where), remedy="check its permissions and the disk")


def missing_extra(error: ImportError) -> MissingExtraError | None:
    """The install line, if what cannot be imported belongs to the training extra."""
    module = (error.name or "").partition(".")[0]
    # Ray itself raises an error without a name where a dependency of ray.tune or ray.rllib is missing.
    if module not in TRAINING_MODULES and "import ray" not in str(error):
        return None
    return MissingExtraError(f"this command needs {module or 'ray'}", remedy=f"install it: {INSTALL}")


def show_traceback(error: BaseException) -> None:
    """The whole story, on standard error."""
    click.echo("".join(traceback.format_exception(error)), err=True, nl=False)


def one_line(text: object) -> str:
    """The text without line breaks."""
    return " ".join(str(text).split())


def _cause(error: BaseException) -> BaseException:
    """The user's error inside Ray's: a remote failure carries it as ``cause`` and a traceback as its text."""
    inner = getattr(error, "cause", None)
    return inner if isinstance(inner, RetrainerError) else error
