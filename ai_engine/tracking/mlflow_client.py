"""A client of MLflow, which is imported only here, and gives up on a server that is down within seconds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from ai_engine.tracking.errors import TrackingError
from ai_engine.tracking.settings import TrackingSettings, embedded_folder
from envs.errors import RetrainerError

QUIET = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # by default 7, which is four minutes of a promotion
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nobody asked to tell anyone else
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # where a program's result goes
}
"""Settings of MLflow's own where the environment has none."""
LONGEST = 200
"""Characters of an error of MLflow's that are shown."""


@contextmanager
def mlflow_client(settings: TrackingSettings) -> Iterator[Any]:
    """An ``MlflowClient`` of the settings' store.

    Raises:
        TrackingError: whatever goes wrong with MLflow in the block, in one line.
    """
    before = {name: os.environ.get(name) for name in QUIET}
    os.environ.update({name: value for name, value in QUIET.items() if before[name] is None})
    try:
        if settings.embedded:
            embedded_folder(settings.home).mkdir(exist_ok=True)
        yield import_module("mlflow").MlflowClient(settings.mlflow_uri)
    except RetrainerError:
        raise
    except Exception as error:  # of MLflow, of its database or of the network: each has exceptions of its own
        raise TrackingError(_problem(error, settings), where=f"mlflow at {settings.shown_uri}") from error
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def _problem(error: Exception, settings: TrackingSettings) -> str:
    """What went wrong, without a password, and short."""
    cause = error.__cause__ or error.__context__
    while cause is not None:
        if isinstance(cause, OSError) and settings.mlflow_uri.startswith("http"):
            return "cannot be reached"  # requests' errors are of this kind, and say it in four lines
        cause = cause.__cause__ or cause.__context__
    text = " ".join(str(error).split()).replace(settings.mlflow_uri, settings.shown_uri)
    return f"{type(error).__name__}: {text[:LONGEST]}{'…' * (len(text) > LONGEST)}"


def pages(search: Callable[..., Any], **arguments: Any) -> Iterator[Any]:
    """Everything that a paged search of the client finds."""
    token = None
    while True:
        page = search(**arguments, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
