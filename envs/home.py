"""The home: one folder with ``retrainer.toml``, the data, the runs and the retrained models."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import tomlkit
from tomlkit.exceptions import TOMLKitError

from envs.declaration import ATTRIBUTES, from_table, specification_hash, to_table
from envs.errors import HomeError, SpecificationError
from envs.journal.journal import Journal
from envs.log.evolution import begin_version, check_meaning
from envs.rules import load_rule
from envs.specification import AgentSpecification
from envs.storage import LocalStorage, make_directory

Read = TypeVar("Read")
CONFIGURATION = "retrainer.toml"
VARIABLE = "RETRAINER_HOME"
NOT_DECLARATION = ("mapping",)  # tables of an agent that say how to read its files, not what it is
HEADER = """\
# What this home's agents are. Each [agents.NAME] declares one; changes are stored with the data.
"""


class Home:
    """A home that exists. Use :meth:`find` or :meth:`create`.

    Attributes:
        path: the folder, absolute.
        configuration_path: ``retrainer.toml``.
        data_path: ``data``.
        journal_path: ``data/journal.sqlite``.
        runs_path: ``runs``.
        models_path: ``models/retrained``.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().absolute()
        self.configuration_path = self.path / CONFIGURATION
        self.data_path = self.path / "data"
        self.journal_path = self.data_path / "journal.sqlite"
        self.runs_path = self.path / "runs"
        self.models_path = self.path / "models" / "retrained"
        if not self.configuration_path.is_file():
            raise HomeError(f"there is no {CONFIGURATION}", where=str(self.path), remedy=_init(path))
        # The file may be written by hand; the key must stand before the first record.
        if not self.journal_path.exists() and not (self.data_path / "split_key").exists():
            with suppress(OSError):  # who may only look needs none yet
                _create_key(self.data_path, secrets.token_bytes(32))

    def __repr__(self) -> str:
        return f"Home({str(self.path)!r})"

    @classmethod
    def find(cls, home: Home | str | Path | None = None, create: bool = False) -> Home:
        """The home named, else that of ``RETRAINER_HOME``, else the nearest ``retrainer.toml`` upwards.

        Args:
            home: a folder, or a home, which is given back.
            create: create the named folder's home, or without a name the current folder's, where there is none.

        Raises:
            HomeError: there is none; names ``retrainer init``.
        """
        if isinstance(home, Home):
            return home
        if home is not None:
            return cls.create(home) if create else cls(home)
        if os.environ.get(VARIABLE):
            try:
                return cls(os.environ[VARIABLE])
            except HomeError as error:
                raise HomeError(
                    error.problem, where=f"{VARIABLE}={os.environ[VARIABLE]}", remedy=error.remedy
                ) from None
        here = Path.cwd()
        for folder in (here, *here.parents):
            if (folder / CONFIGURATION).is_file():
                return cls(folder)
        if create:
            return cls.create(here)
        problem = f"there is no {CONFIGURATION} here or in a folder above"
        raise HomeError(problem, where=str(here), remedy=f"{_init('.')}, or name a home with --home or {VARIABLE}")

    @classmethod
    def create(cls, path: str | Path, split_key: bytes | None = None) -> Home:
        """A home at ``path``; one that is there already is left as it is.

        Args:
            path: the folder.
            split_key: 32 bytes that decide the splits, random where not given. They never change afterwards.

        Raises:
            HomeError: the folder cannot be made, or the home there has another key.
        """
        if split_key is not None and len(split_key) != 32:
            raise HomeError(f"a split key has 32 bytes, not {len(split_key)}", where=str(path), remedy="give 32 bytes")
        folder = Path(path).expanduser().absolute()
        try:
            for part in ("data", "runs", "models/retrained"):
                make_directory(folder / part)
            if not (folder / "data" / "journal.sqlite").exists():
                _create_key(folder / "data", split_key or secrets.token_bytes(32))
            LocalStorage(folder).create_if_absent(CONFIGURATION, HEADER.encode())
        except OSError as error:
            problem = f"cannot be created ({error.strerror or error})"
            raise HomeError(problem, where=str(folder), remedy="choose a folder that you may write to") from error
        home = cls(folder)
        if split_key is not None and home.split_key != split_key:
            raise HomeError("this home has another split key", where=str(folder), remedy="leave the key out")
        return home

    @property
    def split_key(self) -> bytes:
        """The 32 bytes that assign units to splits.

        Raises:
            HomeError: it is lost or damaged; another key would move data between train and final.
        """
        path = self.data_path / "split_key"
        try:
            key = bytes.fromhex(path.read_text())
        except PermissionError:
            raise HomeError("cannot be read", where=str(path), remedy="get permission to read it") from None
        except (OSError, ValueError):
            key = b""
        if len(key) != 32:
            problem = "is lost or damaged, and another key would mix train and final"
            raise HomeError(problem, where=str(path), remedy="restore it from a backup")
        return key

    def document(self) -> Mapping[str, Any]:
        """``retrainer.toml`` as plain values, which nobody changes.

        Raises:
            HomeError: it cannot be read, or is no TOML.
        """
        return self._read(_parsed)

    def agents(self) -> list[str]:
        """Names of the declared agents, in the file's order."""
        # A table that only says how to read an agent's files declares nothing yet.
        return [name for name, table in self._tables().items() if set(table) - set(NOT_DECLARATION)]

    def specification(self, name: str) -> AgentSpecification:
        """The declaration of an agent.

        Raises:
            SpecificationError: it is not declared (names those that are), or declared wrongly, or one of its
                fields means something else than it did and its version did not rise.
        """
        declared = self.agents()
        if name not in declared:
            known = f"declared are {', '.join(declared)}" if declared else "no agent is declared"
            remedy = f"{known}; declare [agents.{name}] in {CONFIGURATION}, or import its log"
            raise SpecificationError("is not declared", where=f"agent {name}", remedy=remedy)
        try:
            specification = _declaration(name, self._tables()[name])
        except SpecificationError as error:
            raise SpecificationError(error.problem, where=self.place(name), remedy=error.remedy) from None
        check_meaning(self.data_path, specification, self.place(name))
        return specification

    def place(self, name: str) -> str:
        """Where an agent is declared, for messages."""
        return f"{self.configuration_path}, agent {name}"

    def mapping(self, name: str) -> dict[str, Any]:
        """``[agents.NAME.mapping]``: our field by its name in the agent's files; empty where there is none."""
        table = self._tables().get(name)
        mapping = table.get("mapping", {}) if isinstance(table, Mapping) else {}
        if not isinstance(mapping, Mapping):
            raise SpecificationError("mapping: is not a table", where=self.place(name), remedy='write field = "theirs"')
        return dict(mapping)

    def declare(self, specification: AgentSpecification) -> None:
        """Write ``[agents.NAME]``, new or changed; everything else in the file stays as it is.

        Raises:
            SpecificationError: a field means something else than it did, and the version did not rise.
            HomeError: the file cannot be written.
        """
        check_meaning(self.data_path, specification, self.place(specification.name))
        try:
            with self._locked():
                LocalStorage(self.path).replace(CONFIGURATION, self.declared_text(specification).encode())
            self.keep(specification)
        except OSError as error:
            problem = f"{specification.name} cannot be declared ({error.strerror or error})"
            remedy = "check the permissions of the home and the disk"
            raise HomeError(problem, where=str(self.configuration_path), remedy=remedy) from error

    def declared_text(self, specification: AgentSpecification) -> str:
        """The text of ``retrainer.toml`` with this declaration in it, comments and all the rest kept.

        Raises:
            SpecificationError: the declaration is wrong.
            HomeError: the file is laid out so that the table cannot be edited in place.
        """
        name, fresh = specification.name, to_table(specification)
        _declaration(name, fresh)  # what is wrong with it is said before anything about the file
        try:
            document = self._document()
            agents = document.setdefault("agents", tomlkit.table(is_super_table=True))
            if name not in agents:
                agents[name] = tomlkit.table()
            table = agents[name]
            for key in [key for key in table if key in ATTRIBUTES and key not in fresh]:
                del table[key]
            for key, value in fresh.items():
                if key not in table or _plain(table[key]) != value:
                    table[key] = value if key != "observation" else _observation(value)
            text = tomlkit.dumps(document)
            # Dotted keys and inline tables can defeat an edit in place: trust only what reads back the same.
            same = _declaration(name, tomllib.loads(text)["agents"][name]) == specification
        except (TOMLKitError, SpecificationError, ValueError, TypeError, KeyError):
            same = False
        if not same:
            problem = f"[agents.{name}] cannot be changed in place"
            raise HomeError(problem, where=str(self.configuration_path), remedy="write it as a table of its own")
        return text

    def keep(self, specification: AgentSpecification) -> None:
        """Store this version of a declaration with the data; versions that are there are left alone."""
        content = json.dumps(to_table(specification), indent=1, sort_keys=True).encode()
        key = f"specifications/{specification.name}/{specification_hash(specification)}.json"
        LocalStorage(self.data_path).create_if_absent(key, content)
        begin_version(self.data_path, Journal(self.journal_path), specification)

    def rule(self, name: str) -> Callable[..., Any] | None:
        """The agent's own rule (``rule = "module:function"``), imported with the home on the search path.

        Raises:
            SpecificationError: the module or function is not there, or fails when it is imported.
        """
        text = self.specification(name).rule
        return load_rule(text, self.path, where=self.place(name)) if text else None

    def _document(self) -> tomlkit.TOMLDocument:
        return self._read(tomlkit.parse)

    def _read(self, parse: Callable[[str], Read]) -> Read:
        try:
            return parse(self.configuration_path.read_text(encoding="utf-8"))
        except (TOMLKitError, tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            reason = " ".join(str(error).split())
            raise HomeError(
                f"cannot be read ({reason})", where=str(self.configuration_path), remedy="correct it"
            ) from None

    def _tables(self) -> dict[str, Any]:
        agents = self.document().get("agents", {})
        for name, table in ({"": agents} if not isinstance(agents, dict) else agents).items():
            if not isinstance(table, dict):
                problem = f"agents{'.' * bool(name)}{name}: is not a table"
                raise HomeError(problem, where=str(self.configuration_path), remedy="write tables [agents.NAME]")
        return agents

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer of the configuration at a time, where the platform has file locks."""
        try:
            import fcntl
        except ImportError:
            yield
            return
        make_directory(self.data_path)
        with open(self.data_path / ".configuration.lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


@lru_cache(maxsize=8)
def _parsed(text: str) -> Mapping[str, Any]:
    """A configuration as plain values, which nobody changes."""
    return tomllib.loads(text)


def _create_key(data: Path, key: bytes) -> None:
    LocalStorage(data, mode=0o600).create_if_absent("split_key", key.hex().encode() + b"\n")


def _init(path: object) -> str:
    return "create one with `retrainer init" + ("`" if str(path) == "." else f" --home {shlex.quote(str(path))}`")


def _declaration(name: str, table: Any) -> AgentSpecification:
    if isinstance(table, Mapping):
        table = {key: value for key, value in table.items() if key not in NOT_DECLARATION}
    return from_table(name, table)


def _plain(value: Any) -> Any:
    return value.unwrap() if hasattr(value, "unwrap") else value


def _observation(table: Mapping[str, Any]) -> Any:
    """The observation as its own table, one field a line, so that a person can confirm it."""
    out = tomlkit.table()
    for key in sorted(table.keys() - {"fields"}, reverse=True):
        out[key] = table[key]
    listed = tomlkit.array().multiline(True)
    for field in table["fields"]:
        inline = tomlkit.inline_table()
        inline.update(field)
        listed.append(inline)
    out["fields"] = listed
    return out
