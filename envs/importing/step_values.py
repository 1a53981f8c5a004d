"""Arrays of whole episodes as the observations and actions of single decisions.

Libraries for reinforcement learning keep an episode as arrays with one entry a step, nested where the
space is (``Dict``, ``Tuple``). What they mean as one decision's values is fixed here, for all of them:

====================  ==========================================  =====================================
an entry              as an observation                           as an action
====================  ==========================================  =====================================
one integer           the integer                                 the integer
one real number       an array of one number                      ``{"0": number}``
an array              an array of numbers, in C order             an object ``{"0": number, ...}``
an array of one int   an array of one number                      the integer (d3rlpy keeps them so)
a text                ``{"value": text}``                         the text
``Dict``, ``Tuple``   an object; arrays in it are objects of      an object of numbers, its names joined
                      numbered entries, as the record needs it    by dots
====================  ==========================================  =====================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from envs.values import MAXIMUM_DEPTH

Tree = np.ndarray | Mapping[str, "Tree"]
"""An array whose first axis are the steps, or such arrays by name."""


class OddValuesError(ValueError):
    """Arrays that are no observations or actions; the text says what is wrong with them."""


def leaves(tree: Tree, path: str = "", depth: int = 1) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of a tree by their names joined with dots."""
    if depth > MAXIMUM_DEPTH:
        raise OddValuesError(f"is nested deeper than {MAXIMUM_DEPTH} levels")
    if isinstance(tree, Mapping):
        for name, part in tree.items():
            yield from leaves(part, f"{path}.{name}" if path else str(name), depth + 1)
    else:
        yield path, tree


def observations(tree: Tree) -> list[Any]:
    """The observation of each step."""
    if isinstance(tree, Mapping):
        return _objects(tree)
    if tree.dtype.kind in "OSU":
        return [{"value": text} for text in _texts(tree)]
    _numeric(tree)
    if tree.ndim == 1:
        return tree.tolist() if tree.dtype.kind in "iu" else tree.astype(np.float64).reshape(-1, 1).tolist()
    return _reals(tree.reshape(len(tree), -1)).tolist()


def actions(tree: Tree) -> list[Any]:
    """The action of each step."""
    if isinstance(tree, Mapping):
        parts: dict[str, list[Any]] = {}
        for name, leaf in leaves(tree):
            _numeric(leaf)
            flat = _reals(leaf.reshape(len(leaf), -1))
            wide = leaf.ndim > 1
            parts |= {f"{name}.{place}" if wide else name: flat[:, place].tolist() for place in range(flat.shape[1])}
        return [dict(zip(parts, values, strict=True)) for values in zip(*parts.values(), strict=True)]
    if tree.dtype.kind in "OSU":
        return _texts(tree)
    _numeric(tree)
    if tree.dtype.kind in "biu" and tree.size == len(tree):
        return [int(value) for value in tree.reshape(-1).tolist()]
    flat = _reals(tree.reshape(len(tree), -1)) if tree.size else tree.reshape(len(tree), 0)
    names = [str(place) for place in range(flat.shape[1])]
    return [dict(zip(names, values, strict=True)) for values in flat.tolist()]


def _objects(tree: Mapping[str, Tree], depth: int = 1) -> list[dict[str, Any]]:
    if depth > MAXIMUM_DEPTH:
        raise OddValuesError(f"is nested deeper than {MAXIMUM_DEPTH} levels")
    columns: dict[str, list[Any]] = {}
    for name, part in tree.items():
        if isinstance(part, Mapping):
            columns[str(name)] = _objects(part, depth + 1)
        elif part.dtype.kind in "OSU":
            columns[str(name)] = _texts(part)
        elif part.ndim == 1:
            _numeric(part)
            columns[str(name)] = part.tolist()
        else:
            _numeric(part)
            flat = part.reshape(len(part), -1)
            names = [str(place) for place in range(flat.shape[1])]
            columns[str(name)] = [dict(zip(names, values, strict=True)) for values in flat.tolist()]
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        raise OddValuesError(f"has parts of {sorted(lengths)} entries" if lengths else "is empty")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _numeric(array: np.ndarray) -> None:
    if array.dtype.kind not in "biuf":
        raise OddValuesError(f"has the type {array.dtype}, which is no number")
    if array.ndim < 1:
        raise OddValuesError("is one value, not one for each step")


def _reals(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64, copy=False)


def _texts(array: np.ndarray) -> list[str]:
    out = []
    for item in array.reshape(-1).tolist():
        if isinstance(item, bytes):
            try:
                item = item.decode("utf-8")
            except UnicodeDecodeError:
                raise OddValuesError("holds a text that is not UTF-8") from None
        if not isinstance(item, str):
            raise OddValuesError(f"holds {type(item).__name__}, neither numbers nor texts")
        out.append(item)
    if len(out) != len(array):
        raise OddValuesError("has several texts a step")
    return out
