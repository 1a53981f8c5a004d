"""The artefact file: one self-contained JSON document with a SHA-256 over everything else in it.

The file is canonical: there is one sequence of bytes for one policy, so any changed byte is noticed.
Reading it runs no code of the file's; there is no pickle in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NoReturn

from algorithms.policy.arrays import RESTORE
from algorithms.policy.components import COMPONENTS, Component
from algorithms.policy.parts import BaseReference, Layer
from algorithms.policy.policy import Policy
from algorithms.policy.provenance import Provenance
from algorithms.policy.rule import Rule
from envs.errors import ArtefactError, RetrainerError
from envs.observation import FIELD_TYPES, OBSERVATION_KINDS, ObservationField, ObservationSpecification

FORMAT = "retrainer-policy"
FORMAT_VERSION = 1
MAXIMUM_BYTES = 2_000_000_000
DOCUMENT_FIELDS = {
    "format", "format_version", "sha256", "agent", "version", "observation", "actions", "explore", "base", "layers",
    "provenance",
}  # fmt: skip


def policy_to_bytes(policy: Policy) -> bytes:
    """The one sequence of bytes that stands for this policy (its bound rule is left out).

    Raises:
        ArtefactError: it holds numbers that are not finite.
    """
    document: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "agent": policy.agent,
        "version": policy.version,
        "observation": asdict(policy.observation),
        "actions": list(policy.actions),
        "explore": float(policy.explore),
        "base": None if policy.base is None else {"version": policy.base.version},
        "layers": [{"step": float(layer.step), "component": layer.component.to_json()} for layer in policy.layers],
        "provenance": policy.provenance.to_json(),
    }
    try:
        return _seal(document)
    except (TypeError, ValueError) as error:
        raise ArtefactError(
            f"cannot be stored: {error}", where=f"policy {policy.version} of {policy.agent}", remedy="train again"
        ) from None


def policy_from_bytes(content: bytes, *, where: str = "artefact") -> Policy:
    """The policy that :func:`policy_to_bytes` wrote, without its rule.

    Raises:
        ArtefactError: truncated, altered, of another format, or inconsistent; one line with the remedy.
    """
    document = _open(content, where)
    try:
        return Policy(
            agent=_text(document["agent"]),
            version=_text(document["version"]),
            observation=_observation(document["observation"]),
            actions=tuple(document["actions"]),
            explore=float(document["explore"]),
            base=None if document["base"] is None else BaseReference(_text(document["base"]["version"])),
            layers=tuple(Layer(float(item["step"]), _component(item["component"])) for item in document["layers"]),
            provenance=Provenance.from_json(document["provenance"]),
        )
    except ArtefactError as error:
        inner = f"{error.where}: {error.problem}" if error.where else error.problem
        raise ArtefactError(inner, where=where, remedy=error.remedy or RESTORE) from None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RetrainerError) as error:
        raise ArtefactError(f"is inconsistent ({error})", where=where, remedy=RESTORE) from None


def load_policy(path: str | os.PathLike[str], *, base: Rule | None = None) -> Policy:
    """The policy of an artefact file, ready to act.

    Args:
        path: the file, such as ``models/retrained/scaling_model.json``.
        base: the rule that the policy stands on: observation to action, or to ``{action: probability}``.

    Raises:
        ArtefactError: no such file, corrupt, or it stands on a rule and none was given; names its version.
    """
    where = os.fspath(path)
    try:
        if os.path.getsize(path) > MAXIMUM_BYTES:
            raise ArtefactError(f"is larger than {MAXIMUM_BYTES} bytes", where=where, remedy=RESTORE)
        content = Path(path).read_bytes()
    except OSError as error:
        raise ArtefactError(
            f"cannot be read ({error.strerror})", where=where, remedy="give the path of an artefact file"
        ) from None
    policy = policy_from_bytes(content, where=where)
    if policy.base is not None and base is None:
        raise ArtefactError(
            f"the policy stands on the rule {policy.base.version!r}",
            where=where,
            remedy="load it with load_policy(path, base=your_rule)",
        )
    return policy.bind(base) if policy.needs_base else policy


def save_policy(policy: Policy, path: str | os.PathLike[str]) -> Path:
    """Write the artefact file atomically: it is there whole or not at all."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(policy.to_bytes())
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


def _seal(document: dict[str, Any]) -> bytes:
    content = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    sealed = {**document, "sha256": hashlib.sha256(content.encode()).hexdigest()}
    return (json.dumps(sealed, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def _open(content: bytes, where: str) -> dict[str, Any]:
    try:
        document = json.loads(content.decode("ascii"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ArtefactError("is not whole: it cannot be parsed", where=where, remedy=RESTORE) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ArtefactError(f"is not a {FORMAT} file", where=where, remedy="give a file that this project wrote")
    if document.get("format_version") != FORMAT_VERSION:
        raise ArtefactError(
            f"has format version {document.get('format_version')!r}, this version reads {FORMAT_VERSION}",
            where=where,
            remedy="update retrainer",
        )
    unsealed = {key: value for key, value in document.items() if key != "sha256"}
    try:
        intact = set(document) == DOCUMENT_FIELDS and _seal(unsealed) == content
    except (TypeError, ValueError):
        intact = False
    if not intact:
        raise ArtefactError("was altered: its SHA-256 does not fit its content", where=where, remedy=RESTORE)
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _observation(value: Any) -> ObservationSpecification:
    names = {column.name for column in fields(ObservationField)}
    columns = []
    for item in value["fields"]:
        if {*item, "period"} != names or item["type"] not in FIELD_TYPES:
            raise ValueError(f"observation field {item.get('name')!r}")
        columns.append(ObservationField(**{**item, "categories": tuple(item["categories"])}))
    if value["kind"] not in OBSERVATION_KINDS:
        raise ValueError(f"observation kind {value['kind']!r}")
    history = value.get("history", 0)
    if type(history) is not int or history < 0 or (len(columns) - history) % (1 + history):
        raise ValueError(f"observation history {history!r}")
    return ObservationSpecification(value["kind"], tuple(columns), history)


def _component(value: Any) -> Component:
    reader = COMPONENTS.get(value["kind"])
    if reader is None:
        raise ArtefactError(f"unknown component {value['kind']!r}", remedy="update retrainer")
    return reader(value)
