"""Where runs are tracked: a flag before ``RETRAINER_TRACK`` before ``[tracking]`` of ``retrainer.toml``."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from envs.errors import HomeError, MissingExtraError, SpecificationError
from envs.home import Home

MLFLOW, TENSORBOARD = "mlflow", "tensorboard"
TRACKERS = (MLFLOW, TENSORBOARD)
NONE = "none"
VARIABLE, URI_VARIABLE = "RETRAINER_TRACK", "MLFLOW_TRACKING_URI"
KEYS = ("to", "mlflow_uri", "prefix")
PREFIX = re.compile(r"[\w.\- ]*")
NEEDED = {MLFLOW: ("mlflow", "mlflow"), TENSORBOARD: ("tensorboardX", "train")}
"""Of each tracker, the module that it needs and the extra that brings it."""
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """Where the runs of a home are tracked.

    Attributes:
        home: the home.
        trackers: ``mlflow``, ``tensorboard``, both or none.
        mlflow_uri: of the MLflow server or database.
        prefix: begins the names of MLflow's experiments and registered models, so that homes can share a server.
    """

    home: Home
    trackers: tuple[str, ...]
    mlflow_uri: str
    prefix: str = ""

    @classmethod
    def of(cls, home: Home, asked: Iterable[str] | None = None) -> TrackingSettings:
        """The settings in force.

        Args:
            home: whose ``retrainer.toml`` is read.
            asked: trackers, or ``none``, before what the environment and the file say; ``None``, nothing was asked.

        Raises:
            SpecificationError: an unknown tracker.
            HomeError: ``[tracking]`` is wrong.
        """
        declared = _declared(home)
        if asked is not None:
            trackers = known_trackers(asked, "track")
        elif VARIABLE in os.environ:
            words = os.environ[VARIABLE].replace(",", " ").split()
            trackers = known_trackers(words, VARIABLE)
        else:
            trackers = known_trackers(declared.get("to", ()), f"{home.configuration_path}, tracking.to")
        uri = os.environ.get(URI_VARIABLE) or declared.get("mlflow_uri") or embedded_uri(home)
        return cls(home, trackers, uri, declared.get("prefix", ""))

    @property
    def embedded(self) -> bool:
        """Whether MLflow's store is the home's own."""
        return self.mlflow_uri == embedded_uri(self.home)

    @property
    def shown_uri(self) -> str:
        """The URI without a password, for messages."""
        parts = urlsplit(self.mlflow_uri)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    @property
    def home_identity(self) -> str:
        """What tells this home's entries from those of another on the same server; it stays when the home moves."""
        return hashlib.sha256(b"tracking" + self.home.split_key).hexdigest()[:16]

    def name(self, agent: str) -> str:
        """The agent's name as MLflow's experiment and registered model."""
        return self.prefix + agent

    def artefact_location(self, agent: str) -> str | None:
        """Where artefacts go; a server decides itself, a database would put them into the current folder."""
        if urlsplit(self.mlflow_uri).scheme.partition("+")[0] not in DATABASES:
            return None
        return (embedded_folder(self.home) / "artifacts" / self.name(agent)).as_uri()

    def require_extras(self) -> None:
        """Check that what the trackers need is installed.

        Raises:
            MissingExtraError: it is not; gives the install line.
        """
        for tracker in self.trackers:
            module, extra = NEEDED[tracker]
            if find_spec(module) is None:
                raise MissingExtraError(
                    f"tracking with {tracker} needs {module}", remedy=f'install it: pip install "retrainer[{extra}]"'
                )


def embedded_folder(home: Home) -> Path:
    """The folder of the home's own MLflow store."""
    return home.path / "mlflow"


def embedded_uri(home: Home) -> str:
    """The URI of the home's own MLflow store."""
    return f"sqlite:///{embedded_folder(home) / 'mlflow.db'}"


def known_trackers(names: Iterable[str], where: str) -> tuple[str, ...]:
    """The trackers that are named, none for ``none``.

    Raises:
        SpecificationError: an unknown name.
    """
    chosen = tuple(dict.fromkeys(names))
    unknown = [name for name in chosen if name not in (*TRACKERS, NONE)]
    if unknown or (NONE in chosen and len(chosen) > 1):
        problem = f"{unknown[0]!r} is no tracker" if unknown else "none goes with no other"
        raise SpecificationError(problem, where=where, remedy=f"name {', '.join(TRACKERS)}, or {NONE}")
    return tuple(name for name in TRACKERS if name in chosen)


def _declared(home: Home) -> dict[str, Any]:
    section = home.document().get("tracking", {})
    if not isinstance(section, dict):
        raise _wrong(home, "", "is not a table", "write [tracking]")
    for key in section:
        if key not in KEYS:
            raise _wrong(home, key, "is not a key of it", f"known are {', '.join(KEYS)}")
    to = section.get("to", [])
    if not isinstance(to, list) or not all(isinstance(name, str) for name in to):
        raise _wrong(home, "to", f"{to!r} is no list of names", 'write to = ["mlflow", "tensorboard"]')
    uri, prefix = section.get("mlflow_uri", ""), section.get("prefix", "")
    if not isinstance(uri, str):
        raise _wrong(home, "mlflow_uri", f"{uri!r} is no URI", 'write mlflow_uri = "http://host:5000"')
    if not isinstance(prefix, str) or not PREFIX.fullmatch(prefix):
        raise _wrong(home, "prefix", f"{prefix!r} is no beginning of a name", 'write prefix = "staging-"')
    return section


def _wrong(home: Home, key: str, problem: str, remedy: str) -> HomeError:
    place = f"{home.configuration_path}, tracking{'.' * bool(key)}{key}"
    return HomeError(problem, where=place, remedy=remedy)
