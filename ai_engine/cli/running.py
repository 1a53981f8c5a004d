"""From a parsed command to its function, and from its result to the terminal."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from ai_engine.cli.failures import missing_extra, unusable
from ai_engine.cli.options import Options
from ai_engine.cli.output import ProgressLine, quiet_libraries, render
from envs.errors import RetrainerWarning


def perform(
    options: Options,
    function: str,
    *arguments: Any,
    module: str = "ai_engine",
    busy: str = "",
    progress: bool = False,
    present: Callable[[Any], Any] | None = None,
    **keywords: Any,
) -> Any:
    """Call a public function, imported only now, and print its result.

    Args:
        options: of every command.
        function: its name.
        arguments: passed on.
        module: where the function is.
        busy: what a terminal shows until the function reports something; also says that the command is long.
        progress: whether the function takes ``progress``.
        present: gives a result ``to_json`` and ``to_text`` where it has none.
        keywords: passed on; those that are ``None`` were not given and are left to the function's default.

    Returns:
        The function's result.
    """
    given = {name: value for name, value in keywords.items() if value is not None}
    folder = _runs_folder(options) if busy else None
    with warnings_at_the_end(), quiet_libraries(folder, show=options.debug) as terminal:
        line = ProgressLine(terminal)
        if progress:
            given["progress"] = line
        try:
            if busy:
                line.transient(f"{busy} …")
            result = getattr(import_module(module), function)(*arguments, **given)
            text = render(present(result) if present else result, options.as_json)
        except ImportError as error:
            if extra := missing_extra(error):
                raise extra from error
            raise
        except OSError as error:
            if refused := unusable(error):
                raise refused from error
            raise
        finally:
            line.done()
    with suppress(BrokenPipeError):  # the reader went away, the work is done
        click.echo(text)
    return result


@contextmanager
def warnings_at_the_end() -> Iterator[None]:
    """Keep our own warnings from the log of the libraries, and print each once when the work is done."""
    told: dict[str, None] = {}
    show = warnings.showwarning

    def keep(message: Warning | str, category: type[Warning], *place: Any, **rest: Any) -> None:
        if issubclass(category, RetrainerWarning):
            told[str(message)] = None
        else:
            show(message, category, *place, **rest)

    warnings.showwarning = keep
    try:
        yield
    finally:
        warnings.showwarning = show
        for text in told:
            click.echo(f"warning: {text}", err=True)


def _runs_folder(options: Options) -> Path | None:
    """Where a long command's log belongs, if the home is there already."""
    from envs.errors import RetrainerError
    from envs.home import Home

    try:
        return Home.find(options.home).runs_path
    except (RetrainerError, OSError):
        return None  # the function itself says what is wrong with the home
