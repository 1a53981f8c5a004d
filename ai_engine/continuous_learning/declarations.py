"""The declarations that records are checked by, read again when ``retrainer.toml`` changes."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Callable

from envs.errors import HomeError, RetrainerError, RetrainerWarning
from envs.home import Home
from envs.validation import Validator

NOTICED = 0.1
"""Seconds after which a buffered pipeline has noticed a changed declaration: to look lets its own thread run, for
which every record would wait."""
ABSENT = (0, 0)
"""The state of a file that is gone, as an editor may leave it for a moment."""


class Declarations:
    """The validators of a home's agents.

    Whoever edits the file must not stop a process that records: while it is gone, half written or wrong, an agent
    whose records were checked before is checked as it was, and a warning says so.

    Args:
        home: the home.
        every: seconds for which nobody looks again whether the file has changed.
        changed: called before a changed file is read.
    """

    def __init__(self, home: Home, *, every: float, changed: Callable[[], None]) -> None:
        self._home, self._every, self._changed = home, every, changed
        self._validators: dict[str, Validator | None] = {}
        self._earlier: dict[str, Validator | None] = {}
        self._state: tuple[int, int] | None = None
        self._looked = -every
        self._name = str(home.configuration_path)  # a path's own stat takes its time

    def look(self) -> None:
        """See whether the file has changed, unless that was seen within ``every`` seconds.

        Raises:
            HomeError: there is none.
        """
        now = time.monotonic()
        if now < self._looked + self._every:
            return
        try:
            found = os.stat(self._name)
        except OSError as error:
            gone = HomeError("is gone", where=self._name, remedy="restore it, or name another home")
            if self._state is None or not self._home.data_path.is_dir():
                raise gone from error
            if self._state != ABSENT:
                warnings.warn(f"agents are recorded as declared before: {gone}", RetrainerWarning, stacklevel=3)
            self._state, self._looked = ABSENT, now
            return
        if (found.st_mtime_ns, found.st_size) != self._state:
            self._changed()
            self._earlier |= self._validators
            self._validators = {}
            self._state = (found.st_mtime_ns, found.st_size)
        self._looked = now

    def validator(self, agent: str) -> Validator | None:
        """The agent's validator, of the file as :meth:`look` found it.

        ``None`` where the agent is undeclared, or what is declared of its actions is a draft that was read off its
        log: to look at a log must not stop who records it.

        Raises:
            HomeError, SpecificationError: the file or what it says of the agent is wrong, and never was right here.
        """
        validators = self._validators
        if agent not in validators:
            try:
                validators[agent] = self._read(agent)
            except RetrainerError as error:
                if agent not in self._earlier:
                    raise
                warnings.warn(f"agent {agent} is recorded as declared before: {error}", RetrainerWarning, stacklevel=4)
                validators[agent] = self._earlier[agent]
        return validators[agent]

    def _read(self, agent: str) -> Validator | None:
        if agent not in self._home.agents():
            return None
        specification = self._home.specification(agent)
        with contextlib.suppress(OSError):  # each declaration that records were checked by is stored with them
            self._home.keep(specification)
        return None if "actions" in specification.inferred else Validator(specification)
