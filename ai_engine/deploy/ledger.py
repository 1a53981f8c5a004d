"""The ledger of one agent's champions: numbered, write-once, hash-chained entries.

Entry n is created under a key that must not exist yet, so of two writers exactly one gets it; the
other reads what happened and decides anew. Each entry holds the SHA-256 of the one before it.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from algorithms.policy.provenance import plain_json
from envs.declaration import NAME
from envs.errors import RegistryError
from envs.forking import reset_after_fork
from envs.storage import Storage, place

KINDS = ("version0", "gate", "promote", "override", "rollback", "hold", "release")
KEY = re.compile(r"ledger/[^/]+/(\d{8})\.json")
ATTEMPTS = 1000
RESTORE = "restore the ledger from a copy"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One event in the life of an agent's champion.

    Attributes:
        number: position in the ledger, from 1.
        agent: whose ledger.
        kind: ``version0`` (the agent's own rule becomes champion), ``gate`` (a look was taken), ``promote``,
            ``override`` (a person's promotion), ``rollback``, ``hold`` or ``release``.
        version: the champion after this entry.
        reason: why, for the reader.
        timestamp: RFC 3339, UTC.
        details: what belongs to the kind: the gate's decision, α, look and final sequence; the artefact's
            SHA-256; the barred version.
        previous: SHA-256 of the previous entry's bytes, empty for the first.
    """

    number: int
    agent: str
    kind: str
    version: str
    reason: str
    timestamp: str
    details: dict[str, Any]
    previous: str

    @property
    def said(self) -> str:
        """The reason, and before it what a gate answered: the same gain may have passed or not."""
        return f"{self.details['decision']}: {self.reason}" if self.kind == "gate" else self.reason

    def to_bytes(self) -> bytes:
        """The file's content: canonical, with a SHA-256 of its own, so that the last entry is guarded too."""
        content = asdict(self)
        seal = hashlib.sha256(_canonical(content).encode()).hexdigest()
        return (_canonical({**content, "sha256": seal}) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> LedgerEntry:
        """The entry that :meth:`to_bytes` wrote.

        Raises:
            RegistryError: altered or truncated; names the file.
        """
        try:
            value = json.loads(content)
            entry = cls(**{column.name: value[column.name] for column in fields(cls)})
            intact = entry.to_bytes() == content and entry.kind in KINDS
        except (ValueError, KeyError, TypeError, AttributeError):
            intact = False
        if not intact:
            raise RegistryError("the ledger entry was altered or is not whole", where=where, remedy=RESTORE)
        return entry


@dataclass(slots=True)
class LedgerState:
    """What the entries so far amount to.

    Attributes:
        entries: all entries, in order.
        champion: the present champion, empty before the first entry.
        champions: champions in the order they were appointed, the present one last.
        rule: the version that is the agent's own rule with its floor.
        rules: all versions that ever were.
        artefacts: SHA-256 of every version that ever was champion.
        barred: versions that no gate may promote.
        held: whether automation is held.
        looks: gate looks spent.
        alpha: α spent by them.
        final_sequence: journal position up to which final units are used.
        moved: number of the entry that last appointed a champion.
    """

    entries: list[LedgerEntry] = field(default_factory=list)
    champion: str = ""
    champions: list[str] = field(default_factory=list)
    rule: str = ""
    rules: set[str] = field(default_factory=set)
    artefacts: dict[str, str] = field(default_factory=dict)
    barred: set[str] = field(default_factory=set)
    held: bool = False
    looks: int = 0
    alpha: float = 0.0
    final_sequence: int = 0
    moved: int = 0

    def apply(self, entry: LedgerEntry) -> None:
        """Take one more entry into account."""
        details = entry.details
        self.entries.append(entry)
        if entry.kind == "version0":
            self.rule = entry.version
            self.rules.add(entry.version)
        elif entry.kind == "gate" and details["look"] is not None:
            self.looks, self.alpha = details["look"], self.alpha + details["alpha"]
            self.final_sequence = max(self.final_sequence, details["final_sequence"])
        elif entry.kind in ("hold", "release"):
            self.held = entry.kind == "hold"
        elif entry.kind == "rollback":
            self.held = True
            self.barred.update(details["barred"])
        if entry.kind in ("version0", "promote", "override", "rollback"):
            self.champion, self.moved = entry.version, entry.number
            self.champions.append(entry.version)
            self.artefacts.setdefault(entry.version, details["artefact"])

    def previous(self) -> str:
        """The last champion before the present one that is not barred, or empty."""
        for version in reversed(self.champions):
            if version != self.champion and version not in self.barred:
                return version
        return ""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a writer wants to add; number, time and chain are the ledger's business."""

    kind: str
    version: str
    reason: str = ""
    details: dict[str, Any] = field(default_factory=dict)


class Ledger:
    """All agents' ledgers in one storage, under ``ledger/{agent}/{n:08d}.json``."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._reset()
        reset_after_fork(self, Ledger._reset)

    def _reset(self) -> None:
        """Forget what was read; it is read again."""
        self._lock = threading.RLock()
        self._states: dict[str, LedgerState] = {}
        self._hashes: dict[str, str] = {}

    def agents(self) -> list[str]:
        """Agents that have a ledger."""
        return sorted({key.split("/")[1] for key in self._storage.list("ledger/") if KEY.fullmatch(key)})

    def state(self, agent: str, *, verify: bool = False) -> LedgerState:
        """The present state; entries that were read before are not read again unless ``verify``.

        Raises:
            RegistryError: an entry is missing, altered or does not continue the chain; names the file.
        """
        with self._lock:
            if verify or agent not in self._states:
                if not NAME.fullmatch(agent):
                    raise RegistryError(f"{agent!r} is not an agent name", remedy="give the name of an agent")
                self._check_numbers(agent)
                self._states[agent], self._hashes[agent] = LedgerState(), ""
            state = self._states[agent]
            while True:
                key = entry_key(agent, len(state.entries) + 1)
                try:
                    content = self._storage.read(key)
                except FileNotFoundError:
                    return state
                except OSError as error:
                    raise _refused("cannot be read", error, place(self._storage, key)) from error
                state.apply(self._checked(content, key, agent, state))
                self._hashes[agent] = hashlib.sha256(content).hexdigest()

    def append(self, agent: str, decide: Callable[[LedgerState], Draft | None]) -> LedgerEntry | None:
        """Add the entry that ``decide`` makes of the present state; it is asked again when another writer was faster.

        Args:
            agent: whose ledger.
            decide: gives the draft, or ``None`` where nothing is to be added; raises what forbids the move.
        """
        with self._lock:
            self._check_numbers(agent)
            for _ in range(ATTEMPTS):
                state = self.state(agent)
                draft = decide(state)
                if draft is None:
                    return None
                entry = LedgerEntry(
                    number=len(state.entries) + 1,
                    agent=agent,
                    kind=draft.kind,
                    version=draft.version,
                    reason=draft.reason,
                    timestamp=datetime.now(UTC).isoformat().replace("+00:00", "Z"),
                    details=plain_json(draft.details),
                    previous=self._hashes[agent],
                )
                key = entry_key(agent, entry.number)
                try:
                    created = self._storage.create_if_absent(key, entry.to_bytes())
                except OSError as error:
                    raise _refused("cannot be written", error, place(self._storage, key)) from error
                if created:
                    self.state(agent)
                    return entry
        raise RegistryError("other writers were faster every time", where=f"ledger of {agent}", remedy="try again")

    def _check_numbers(self, agent: str) -> None:
        # A gap would otherwise look like the end, and the next writer would fork the history.
        matches = (KEY.fullmatch(key) for key in self._storage.list(f"ledger/{agent}/"))
        numbers = [int(match[1]) for match in matches if match]
        for position, number in enumerate(numbers, start=1):
            if number != position:
                raise RegistryError(
                    "the ledger entry is missing",
                    where=place(self._storage, entry_key(agent, position)),
                    remedy=RESTORE,
                )

    def _checked(self, content: bytes, key: str, agent: str, state: LedgerState) -> LedgerEntry:
        where = place(self._storage, key)
        entry = LedgerEntry.from_bytes(content, where)
        number = len(state.entries) + 1
        if entry.previous != self._hashes[agent] or (entry.number, entry.agent) != (number, agent):
            raise RegistryError("the ledger entry does not continue the one before it", where=where, remedy=RESTORE)
        return entry


def entry_key(agent: str, number: int) -> str:
    """The storage key of an entry."""
    return f"ledger/{agent}/{number:08d}.json"


def _refused(problem: str, error: OSError, where: str) -> RegistryError:
    reason = error.strerror or type(error).__name__
    return RegistryError(f"{problem} ({reason})", where=where, remedy="check the disk and its permissions")


def _canonical(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
