"""What of a Prometheus server's history is a decision: the options of its import, checked."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from envs.errors import DataError
from envs.values import UnfitValueError, timestamp

UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
KINDS = ("direction", "delta", "value")
POINTS = 10_000
"""Points of one query; the server refuses more than 11,000."""
TABLES = ("observation", "outcome")
REQUIRED = ("action", "observation", "start")
TEXTS = ("url", "action", "action_kind", "start", "end", "token_variable")
DURATIONS = ("interval", "outcome_after", "episode", "timeout")
FILE = f"write url, {', '.join(REQUIRED)} and what else is to be said into a file NAME.toml, and name that"


@dataclass(frozen=True, slots=True)
class PrometheusOptions:
    """How decisions are read from metrics. Times are milliseconds.

    Attributes:
        url: the server's address.
        action: expression of the level that decisions change, such as ``kube_deployment_spec_replicas``.
        observation: expression by the name of the observation's field.
        start: first decision.
        end: no decision's interval goes beyond it; 0 for now.
        outcome: expression by the name of the outcome's field.
        interval: from one decision to the next.
        action_kind: ``direction`` of the change (down, hold, up), the ``delta`` itself, or the new ``value``.
        outcome_after: how long after a decision its outcome is evaluated.
        by: labels whose values tell one decider from another; of the tenants, say.
        tenant: the label among ``by`` that is the tenant, or empty.
        episode: length of an episode; 0 for decisions that stand alone.
        token_variable: name of the environment variable with a bearer token, or empty.
        timeout: of one query.
    """

    url: str
    action: str
    observation: Mapping[str, str]
    start: int
    end: int = 0
    outcome: Mapping[str, str] = field(default_factory=dict)
    interval: int = 60_000
    action_kind: str = "direction"
    outcome_after: int = 60_000
    by: tuple[str, ...] = ()
    tenant: str = ""
    episode: int = 0
    token_variable: str = ""
    timeout: int = 30_000

    def meaning(self, agent: str = "") -> str:
        """A digest of what makes a decision what it is: the same history read alike for an agent has the same ids."""
        said = [self.action, self.action_kind, list(self.by), self.interval, *([agent] if agent else [])]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]


def prometheus_options(source: str, options: Mapping[str, Any]) -> PrometheusOptions:
    """The options of a source: an address, or a TOML file that has them and ``url``.

    Raises:
        DataError: names the option that is missing or wrong.
    """
    given = dict(options)
    if source.endswith(".toml"):
        given = {**_read(source), **given}
    else:
        given.setdefault("url", source)
        if urlsplit(source).scheme not in ("http", "https"):
            raise DataError("is neither a TOML file nor an address", where=source, remedy=FILE)
    known = {*TEXTS, *DURATIONS, *TABLES, "by", "tenant"}
    for name in given:
        if name not in known:
            raise DataError(f"{name!r} is no option", where=source, remedy=f"it has {', '.join(sorted(known))}")
    for name in ("url", *REQUIRED):
        if not given.get(name):
            remedy = f"write {name} into the file" if source.endswith(".toml") else FILE
            raise DataError(f"{name} is missing", where=source, remedy=remedy)
    for name in (*TEXTS, "tenant"):
        if not isinstance(given.get(name, ""), str):
            raise DataError(f"{name} = {given[name]!r} is no text", where=source, remedy=f'write {name} = "..."')
    for name in TABLES:
        table = given.get(name, {})
        if not isinstance(table, Mapping) or not all(isinstance(text, str) and text for text in table.values()):
            remedy = f'write {name}.load = "sum(rate(requests_total[5m]))"'
            raise DataError(f"{name} is no table of expressions", where=source, remedy=remedy)
    by = given.get("by", [])
    if not isinstance(by, (list, tuple)) or not all(isinstance(label, str) and label for label in by):
        raise DataError("by is no list of labels", where=source, remedy='write by = ["namespace", "deployment"]')
    if urlsplit(given["url"]).scheme not in ("http", "https"):
        raise DataError(f"{given['url']!r} is no address", where=source, remedy="write http://host:9090")
    if given.get("action_kind", "direction") not in KINDS:
        remedy = f"write one of {', '.join(KINDS)}"
        raise DataError(f"action_kind = {given['action_kind']!r} is not known", where=source, remedy=remedy)
    if given.get("tenant") and given["tenant"] not in by:
        raise DataError(f"tenant = {given['tenant']!r} is not in by", where=source, remedy="name one of its labels")
    durations = {name: _duration(given[name], name, source) for name in DURATIONS if name in given}
    durations.setdefault("outcome_after", durations.get("interval", 60_000))
    made = PrometheusOptions(
        url=given["url"].rstrip("/"),
        action=given["action"],
        observation=dict(given["observation"]),
        outcome=dict(given.get("outcome", {})),
        start=_moment(given["start"], "start", source),
        end=_moment(given["end"], "end", source) if given.get("end") else 0,
        interval=durations.get("interval", 60_000),
        action_kind=given.get("action_kind", "direction"),
        outcome_after=durations["outcome_after"],
        by=tuple(by),
        tenant=given.get("tenant", ""),
        episode=durations.get("episode", 0),
        token_variable=given.get("token_variable", ""),
        timeout=durations.get("timeout", 30_000),
    )
    return _consistent(made, source)


def _consistent(made: PrometheusOptions, source: str) -> PrometheusOptions:
    if made.interval <= 0 or made.outcome_after <= 0:
        raise DataError("interval and outcome_after must be above 0", where=source, remedy='write interval = "60s"')
    if made.end and made.end <= made.start:
        raise DataError("end is not after start", where=source, remedy="correct one of them")
    if made.episode % made.interval or made.episode // made.interval >= POINTS:
        problem = f"episode is not a whole number of intervals below {POINTS:,}"
        raise DataError(problem, where=source, remedy='write interval = "60s" and episode = "1h"')
    if made.episode and made.start % made.episode:
        remedy = "begin where an episode begins, counted from 1970-01-01T00:00:00Z"
        raise DataError("start is within an episode", where=source, remedy=remedy)
    return made


def _read(source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(source).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("does not exist", where=source, remedy="name the file with the options") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot be read ({error})", where=source, remedy="write it as TOML") from None


def _duration(value: Any, name: str, source: str) -> int:
    found = re.fullmatch(r"(\d{1,9})(ms|s|m|h|d)", value, re.ASCII) if isinstance(value, str) else None
    if found is None:
        raise DataError(f"{name} = {value!r} is no duration", where=source, remedy=f'write {name} = "60s"')
    return int(found[1]) * UNITS[found[2]]


def _moment(value: str, name: str, source: str) -> int:
    try:
        return round(datetime.fromisoformat(timestamp(value)).timestamp() * 1000)
    except UnfitValueError as error:
        raise DataError(f"{name}: {error.problem}", where=source, remedy=error.remedy) from None
