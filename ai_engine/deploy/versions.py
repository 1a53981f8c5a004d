"""Artefacts under their version numbers, and the copy of the champion that programs load."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from algorithms.policy import Policy
from envs.errors import ArtefactError, RegistryError
from envs.storage import LocalStorage, Storage, place

KEY = re.compile(r"versions/[^/]+/(\d+)\.json")


class Versions:
    """``versions/{agent}/{version}.json``, write-once, and ``{agent}_model.json``."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def names(self, agent: str) -> list[str]:
        """All versions, oldest first."""
        matches = (KEY.fullmatch(key) for key in self._storage.list(f"versions/{agent}/"))
        return [str(number) for number in sorted(int(match[1]) for match in matches if match)]

    def add(self, policy: Policy, taken: Collection[str] = ()) -> str:
        """Keep a policy under the next free number that is not ``taken``; it is stamped with it."""
        known = self.names(policy.agent)
        number = int(known[-1]) + 1 if known else 0
        while str(number) in taken or not self.keep(policy, str(number)):
            number += 1
        return str(number)

    def keep(self, policy: Policy, version: str) -> bool:
        """Keep a policy under this very number; ``False`` where the number is taken."""
        stamped = replace(policy, version=version).to_bytes()
        return self._storage.create_if_absent(version_key(policy.agent, version), stamped)

    def digest(self, agent: str, version: str) -> str:
        """SHA-256 of a version's file."""
        return sha256(self._storage.read(version_key(agent, version)))

    def load(self, agent: str, version: str, digest: str | None) -> Policy:
        """The policy of a version.

        Args:
            agent: whose policy.
            version: its number.
            digest: the SHA-256 under which the ledger appointed it, ``None`` where it never was.

        Raises:
            ArtefactError: corrupt, missing, or not the file that was appointed; names it.
        """
        key = version_key(agent, version)
        where = place(self._storage, key)
        try:
            content = self._storage.read(key)
        except FileNotFoundError:
            raise ArtefactError("is missing", where=where, remedy="restore it from a copy") from None
        except OSError as error:
            problem = f"cannot be read ({error.strerror or type(error).__name__})"
            raise ArtefactError(problem, where=where, remedy="check the disk and its permissions") from error
        policy = Policy.from_bytes(content, where=where)
        if (policy.agent, policy.version) != (agent, version) or digest not in (None, sha256(content)):
            raise ArtefactError("is not the file that the ledger names", where=where, remedy="restore it from a copy")
        return policy

    def publish(self, agent: str, version: str, digest: str) -> None:
        """Make the copy equal to the champion; a damaged champion is restored from an intact copy instead."""
        key, copy_key = version_key(agent, version), f"{agent}_model.json"
        content, copy = self._read(key), self._read(copy_key)
        if content is not None and sha256(content) == digest:
            if copy != content:
                self._storage.replace(copy_key, content)
        elif copy is not None and sha256(copy) == digest:
            self._storage.replace(key, copy)

    def path(self, agent: str, version: str) -> Path:
        """The file of a version, where the storage is a folder."""
        if not isinstance(self._storage, LocalStorage):
            raise RegistryError("is not a folder", where="registry", remedy="read the version instead")
        return self._storage.root / version_key(agent, version)

    def _read(self, key: str) -> bytes | None:
        try:
            return self._storage.read(key)
        except FileNotFoundError:
            return None


def version_key(agent: str, version: str) -> str:
    """The storage key of a version."""
    return f"versions/{agent}/{version}.json"


def sha256(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()
