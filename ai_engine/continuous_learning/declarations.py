"""The declarations that records are checked by, read again when ``retrainer.toml`` changes."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from envs.errors import HomeError
from envs.home import Home
from envs.validation import Validator

NOTICED = 0.1
"""Seconds after which a buffered pipeline has noticed a changed declaration: to look lets its own thread run, for
which every record would wait."""


class Declarations:
    """The validators of a home's agents.

    Args:
        home: the home.
        every: seconds for which nobody looks again whether the file has changed.
        changed: called before a changed file is read.
    """

    def __init__(self, home: Home, *, every: float, changed: Callable[[], None]) -> None:
        self._home, self._every, self._changed = home, every, changed
        self._validators: dict[str, Validator | None] = {}
        self._state: tuple[int, int] | None = None
        self._looked = -every
        self._name = str(home.configuration_path)  # a path's own stat takes its time

    def look(self) -> None:
        """See whether the file has changed, unless that was seen within ``every`` seconds.

        Raises:
            HomeError: the file is gone.
        """
        now = time.monotonic()
        if now < self._looked + self._every:
            return
        try:
            found = os.stat(self._name)
        except OSError as error:
            raise HomeError("is gone", where=self._name, remedy="restore it, or name another home") from error
        if (found.st_mtime_ns, found.st_size) != self._state:
            self._changed()
            self._validators = {}
            self._state = (found.st_mtime_ns, found.st_size)
        self._looked = now

    def validator(self, agent: str) -> Validator | None:
        """The agent's validator, of the file as :meth:`look` found it.

        ``None`` where the agent is undeclared, or what is declared of its actions is a draft that was read off its
        log: to look at a log must not stop who records it.

        Raises:
            SpecificationError: what it says of the agent is wrong.
        """
        validators = self._validators
        if agent not in validators:
            validators[agent] = self._read(agent)
        return validators[agent]

    def _read(self, agent: str) -> Validator | None:
        if agent not in self._home.agents():
            return None
        specification = self._home.specification(agent)
        with contextlib.suppress(OSError):  # each declaration that records were checked by is stored with them
            self._home.keep(specification)
        return None if "actions" in specification.inferred else Validator(specification)
