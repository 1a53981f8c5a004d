"""What a report says, as plain JSON values; how it looks is decided elsewhere."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from envs.errors import DataError

SCHEMA_VERSION = 1
_TEXTS = ("title", "created", "sentence", "agent", "run", "command")
_MAPPINGS = ("figures", "card", "actions", "placebo")
_LISTS = ("variants", "reveal")


@dataclass(frozen=True)
class ReportDocument:
    """The content of one report page.

    Every field is kept as plain JSON values: numpy scalars and arrays become numbers and lists, and a
    number that is not finite becomes ``None``, which the page shows as an en dash. Keys that the page
    does not know are kept and not shown; keys that are missing are shown as unknown.

    Attributes:
        title: heading of the page.
        created: RFC 3339 time of the run.
        sentence: the outcome in one plain sentence.
        agent: whose run it was.
        run: id of the run.
        seed: of the run.
        figures: label -> text or number, the key figures.
        card: ``grade``, ``findings`` (each ``code, severity, sentence, consequence, remedy``),
            ``figures``, ``provable_steps`` (pairs of η and effective sample fraction in [0, 1]),
            ``exploration_advice``.
        variants: each ``version, algorithm, hyperparameters, seeds, step``, ``estimate`` and ``gain``
            (each ``value, lower, upper, confidence, estimator, effective_sample_size, evidence,
            refused, assumptions``), ``model_gain``, ``curve`` (``metric``, ``values``), ``finalist``, ``recommended``.
        gate: ``decision, version, reason, needs {decisions, seconds, explore}, estimate, alpha, look,
            guardrails`` (each ``name, change, bound, margin, direction, verdict``), or ``None`` where no gate was run.
        placebo: ``command``, and where the gate's self-test was run ``text, decisions, created`` and ``outcome``
            with ``passed``.
        actions: ``names`` (A) and ``series``, each ``policy`` and ``shares`` (A) in [0, 1].
        reveal: each ``policy, estimate, lower, upper, evidence, pool, pool_error, unseen,
            unseen_error``; errors are standard errors. Empty where no truth is known.
        command: what to run next.

    Raises:
        DataError: a field has another type; names it.
    """

    title: str
    created: str
    sentence: str
    agent: str
    run: str
    seed: int
    figures: Mapping[str, Any]
    card: Mapping[str, Any]
    variants: list[Mapping[str, Any]]
    gate: Mapping[str, Any] | None = None
    actions: Mapping[str, Any] = field(default_factory=dict)
    reveal: list[Mapping[str, Any]] = field(default_factory=list)
    command: str = ""
    placebo: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for item in fields(self):
            object.__setattr__(self, item.name, plain(getattr(self, item.name), item.name))
        for name in _TEXTS:
            _expect(isinstance(getattr(self, name), str), name, "a text")
        _expect(isinstance(self.seed, int), "seed", "an integer")
        for name in _MAPPINGS:
            _expect(isinstance(getattr(self, name), dict), name, "an object")
        for name in _LISTS:
            rows = getattr(self, name)
            _expect(isinstance(rows, list) and all(isinstance(row, dict) for row in rows), name, "a list of objects")
        _expect(self.gate is None or isinstance(self.gate, dict), "gate", "an object or null")
        width = len(self.actions.get("names") or [])
        for series in self.actions.get("series") or []:
            fits = isinstance(series, dict) and len(series.get("shares") or []) == width
            _expect(fits, "actions.series", f"objects with {width} shares each")

    def to_json(self) -> dict[str, Any]:
        """The document as one strict JSON object."""
        content = {item.name: plain(getattr(self, item.name)) for item in fields(self)}
        return {"schema_version": SCHEMA_VERSION, **content}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ReportDocument:
        """The inverse of :meth:`to_json`.

        Raises:
            DataError: a field is missing or has another type, or the schema is another.
        """
        version = data.get("schema_version", SCHEMA_VERSION)
        _expect(version == SCHEMA_VERSION, "schema_version", str(SCHEMA_VERSION))
        given = {item.name: data[item.name] for item in fields(cls) if item.name in data}
        try:
            return cls(**given)
        except TypeError as error:
            raise DataError(str(error).rpartition("missing")[2].strip(), where="report", remedy="add it") from None


def plain(value: Any, where: str = "") -> Any:
    """``value`` as JSON values: numpy unpacked, tuples as lists, numbers that are not finite as ``None``.

    Raises:
        DataError: something that has no JSON form.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise DataError(f"a {type(value).__name__} has no JSON form", where=f"report {where}", remedy="give plain values")


def _expect(condition: bool, name: str, expected: str) -> None:
    if not condition:
        raise DataError(f"{name} is not {expected}", where="report", remedy=f"give {name} as {expected}")
