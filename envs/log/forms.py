"""Observations back from their forms: raw rows of many decisions at once, by the same rules as one by one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from envs.errors import RecordError
from envs.observation import ObservationField, ObservationSpecification, flatten, unflatten


class OddRowError(Exception):
    """A row that the declaration does not cover. ``row`` is its place in the batch."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


@dataclass(frozen=True, slots=True)
class FormColumns:
    """Some rows of a batch with the same form.

    Attributes:
        rows: int64 (n,), their places in the batch.
        kinds: kind by field name; for an integer or a vector empty.
        form: the form's text.
        numbers: float64 (n, K).
        texts: the texts of the rows one after another.
        width: texts of each row.
    """

    rows: np.ndarray
    kinds: Mapping[str, str]
    form: str
    numbers: np.ndarray
    texts: pa.Array
    width: int

    def number(self, name: str) -> np.ndarray:
        """The numbers of a field of kind ``i``, ``f`` or ``b``, float64 (n,)."""
        return np.asarray(self.numbers[:, self._place(name, "ifb")])

    def text(self, name: str) -> pa.Array:
        """The texts of a field of kind ``s`` or ``j``."""
        places = np.arange(len(self.rows)) * self.width + self._place(name, "sj")
        return self.texts.take(pa.array(places))

    def _place(self, name: str, among: str) -> int:
        same = [other for other, kind in self.kinds.items() if kind in among]
        return same.index(name)


def by_form(batch: pa.RecordBatch, part: str) -> list[FormColumns]:
    """A batch's rows by the form of ``part`` (``observation``, ``next`` or ``outcome``); those without are left out.

    Raises:
        OddRowError: rows of one form have different numbers of values.
    """
    forms, numbers, texts = (batch[f"{part}_{kind}"] for kind in ("form", "numbers", "texts"))
    coded = forms.dictionary_encode() if not pa.types.is_dictionary(forms.type) else forms
    names = coded.dictionary.to_pylist()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    whole = len(names) == 1 and coded.null_count == 0
    found = []
    for code, form in enumerate(names):
        rows = np.arange(len(codes)) if whole else np.flatnonzero(codes == code)
        if len(rows) == 0:
            continue
        kinds = json.loads(form) if form.startswith("{") else {}
        chosen, told = (numbers, texts) if whole else (numbers.take(pa.array(rows)), texts.take(pa.array(rows)))
        values, width = chosen.flatten(), told.flatten()
        if len(values) % len(rows) or len(width) % len(rows) or not _even(chosen) or not _even(told):
            raise OddRowError(int(rows[0]))
        grid = np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64).reshape(len(rows), -1)
        found.append(FormColumns(rows, kinds, form, grid, width, len(width) // len(rows)))
    return found


def observation_rows(
    batch: pa.RecordBatch, part: str, specification: ObservationSpecification, retired: frozenset[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Raw rows, float64 (n, D), and which rows have an observation at all, bool (n,).

    Raises:
        OddRowError: an observation does not fit the declaration.
    """
    out = np.full((batch.num_rows, specification.size), math.nan)
    there = np.zeros(batch.num_rows, dtype=bool)
    for group in by_form(batch, part):
        there[group.rows] = True
        if group.form == "json":
            _by_hand(group, out, specification, retired)
        elif group.form in ("int", "vector"):
            if (specification.kind, group.numbers.shape[1]) != (group.form, len(specification.own)):
                raise OddRowError(int(group.rows[0]))
            for column, field in enumerate(specification.own):
                out[group.rows, column] = _numbers(group.numbers[:, column], "f", field, group)
        else:
            names = {field.name for field in specification.own}
            if specification.kind != "object":
                raise OddRowError(int(group.rows[0]))
            if any(group.kinds[name] == "j" for name in group.kinds.keys() - retired - names):
                _with_lists(group, out, specification, retired)
                continue
            if not (group.kinds.keys() - retired) <= names:
                raise OddRowError(int(group.rows[0]))
            for column, field in enumerate(specification.own):
                out[group.rows, column] = _values(field, group)
    return out, there


def _values(field: ObservationField, group: FormColumns) -> np.ndarray | float:
    kind = group.kinds.get(field.name, "z")
    if kind == "z":
        if not field.optional:
            raise OddRowError(int(group.rows[0]))
        return math.nan
    # Of kind j are lists, and integers that float64 does not hold.
    if kind == "j" or field.type in ("category", "tags") or (field.type == "time" and kind == "s"):
        return _encoded(field, group, kind)
    if kind == "s":
        raise OddRowError(int(group.rows[0]))
    return _numbers(group.number(field.name), kind, field, group)


def _numbers(values: np.ndarray, kind: str, field: ObservationField, group: FormColumns) -> np.ndarray:
    if field.type == "boolean":
        wrong = (values != 0.0) & (values != 1.0)
    elif kind == "b":
        wrong = np.ones(len(values), dtype=bool)
    else:
        wrong = np.zeros(len(values), dtype=bool)
        if field.type == "integer":
            wrong |= values != np.floor(values)
        if field.low is not None:
            wrong |= values < field.low
        if field.high is not None:
            wrong |= values > field.high
    if wrong.any():
        raise OddRowError(int(group.rows[np.flatnonzero(wrong)[0]]))
    return values


def _encoded(field: ObservationField, group: FormColumns, kind: str) -> np.ndarray:
    if kind == "s" and field.type == "category":
        found = pc.index_in(group.text(field.name), pa.array(field.categories, pa.string()))
        return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.float64)
    listed = _plain(group, field.name, kind)
    out = np.empty(len(listed))
    for place, value in enumerate(listed):
        try:
            out[place] = field.encode(value)
        except RecordError:
            raise OddRowError(int(group.rows[place])) from None
    return out


def _plain(group: FormColumns, name: str, kind: str) -> list[Any]:
    """A field's values as they were written."""
    if kind == "z":
        return [None] * len(group.rows)
    if kind in "sj":
        texts = group.text(name).to_pylist()
        return texts if kind == "s" else [json.loads(text) for text in texts]
    cast = {"i": int, "f": float, "b": bool}[kind]
    return [cast(value) for value in group.number(name)]


def _with_lists(
    group: FormColumns, out: np.ndarray, specification: ObservationSpecification, retired: frozenset[str]
) -> None:
    """Rows with lists whose items are fields of their own, one by one."""
    kept = [name for name in group.kinds if name not in retired]
    columns = [_plain(group, name, group.kinds[name]) for name in kept]
    for place, values in enumerate(zip(*columns, strict=True)):
        try:
            out[group.rows[place]] = specification.row(unflatten(dict(zip(kept, values, strict=True))))
        except RecordError:
            raise OddRowError(int(group.rows[place])) from None


def _by_hand(
    group: FormColumns, out: np.ndarray, specification: ObservationSpecification, retired: frozenset[str]
) -> None:
    for row, text in zip(group.rows, group.texts.to_pylist(), strict=True):
        value = json.loads(text)
        if isinstance(value, Mapping) and retired:
            value = {name: item for name, item in flatten(value).items() if name not in retired}
        try:
            out[row] = specification.row(value)
        except Exception:
            raise OddRowError(int(row)) from None


def _even(lists: pa.ListArray) -> bool:
    """Whether all lists are of one length."""
    offsets = lists.offsets.to_numpy()
    steps = np.diff(offsets)
    return bool((steps == steps[0]).all()) if len(steps) else True
