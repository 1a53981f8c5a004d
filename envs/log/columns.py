"""What was seen, chosen and possible, read off the table's columns in the declared order."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from envs.errors import RecordError
from envs.log.forms import OddRowError, observation_rows
from envs.log.rows import NO_DISTRIBUTION, action_text
from envs.probabilities import ROUNDING
from envs.specification import AgentSpecification


class ColumnReader:
    """Reads batches of one agent's decisions.

    Every method raises :class:`~envs.log.forms.OddRowError` at a row that does not fit the declaration.

    Args:
        specification: the agent's declaration.
        retired: observation fields that are declared no more.
    """

    def __init__(self, specification: AgentSpecification, retired: frozenset[str]) -> None:
        self._specification = specification
        self._retired = retired
        self._actions = {action_text(action): index for index, action in enumerate(specification.actions)}
        self._names = {str(action): index for index, action in enumerate(specification.actions)}
        self._codes: dict[str, int] = {"": 0}

    @property
    def version_names(self) -> list[str]:
        """Policy versions by their code, as far as they were met."""
        return list(self._codes)

    def rows(self, batch: pa.RecordBatch, part: str) -> np.ndarray:
        """Raw rows of ``observation`` or ``next``, float64 (n, D)."""
        found, there = observation_rows(batch, part, self._specification.observation, self._retired)
        if not there.all():
            raise OddRowError(int(np.flatnonzero(~there)[0]))
        return found

    def rows_if_fit(self, batch: pa.RecordBatch, part: str) -> np.ndarray:
        """The same; a row that does not fit is infinite."""
        try:
            return self.rows(batch, part)
        except OddRowError:
            out = np.full((batch.num_rows, self._specification.observation.size), np.inf)
            for index in range(batch.num_rows):
                try:
                    out[index] = self.rows(batch.slice(index, 1), part)
                except OddRowError:
                    continue
            return out

    def actions(self, batch: pa.RecordBatch) -> np.ndarray:
        """Indices of the requested actions, int64 (n,)."""
        codes, texts = _coded(batch["action"])
        known = np.array([self._actions.get(text, -1) for text in texts], dtype=np.int64)
        found = known[codes]
        _refuse(found < 0)
        return found

    def distributions(self, batch: pa.RecordBatch, names: str, probabilities: str) -> np.ndarray:
        """Probabilities in the declared order, float64 (n, A); NaN rows where there are none."""
        out = np.full((batch.num_rows, len(self._names)), np.nan)
        codes, listed = _coded(batch[names])
        for code, text in enumerate(listed):
            rows = np.flatnonzero(codes == code)
            if text == NO_DISTRIBUTION:
                raise OddRowError(int(rows[0]))
            own = batch[probabilities] if len(rows) == batch.num_rows else batch[probabilities].take(pa.array(rows))
            places = (
                list(range(len(self._names))) if text == "" else [self._names.get(name, -1) for name in _texts(text)]
            )
            sizes = own.value_lengths().to_numpy(zero_copy_only=False)
            if (sizes != len(places)).any():
                raise OddRowError(int(rows[np.flatnonzero(sizes != len(places))[0]]))
            grid = own.flatten().to_numpy(zero_copy_only=False).reshape(len(rows), len(places))
            found = np.zeros((len(rows), len(self._names)))
            wrong = np.zeros(len(rows), dtype=bool)
            for column, place in enumerate(places):
                if place < 0:
                    wrong |= grid[:, column] != 0.0
                else:
                    found[:, place] = grid[:, column]
            total = found.sum(axis=1)
            wrong |= ~np.isfinite(total) | (found < 0.0).any(axis=1) | ~(np.abs(total - 1.0) <= ROUNDING)
            if wrong.any():
                raise OddRowError(int(rows[np.flatnonzero(wrong)[0]]))
            out[rows] = found / total[:, None]
        return out

    def propensities(self, batch: pa.RecordBatch, chances: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Logged propensities, those of ``chances`` where only the distribution was logged, float64 (n,)."""
        given = np.asarray(batch["propensity"].to_numpy(zero_copy_only=False), dtype=np.float64)
        return np.where(np.isnan(given), chances[np.arange(len(given)), actions], given)

    def allowed(self, batch: pa.RecordBatch) -> np.ndarray:
        """Allowed actions, bool (n, A)."""
        codes, texts = _coded(batch["allowed"])
        masks = np.ones((len(texts) + 1, len(self._names)), dtype=bool)  # the last: all
        for code, text in enumerate(texts):
            try:
                indices = self._specification.action_indices(json.loads(text))
            except RecordError:
                raise OddRowError(int(np.flatnonzero(codes == code)[0])) from None
            masks[code] = False
            masks[code, indices] = True
        return masks[codes]

    def versions(self, batch: pa.RecordBatch) -> np.ndarray:
        """Codes of the policy versions, int32 (n,); see :attr:`version_names`."""
        codes, texts = _coded(batch["policy_version"])
        known = [self._codes.setdefault(text, len(self._codes)) for text in texts]
        return np.array([*known, 0], dtype=np.int32)[codes]


def _coded(column: pa.Array) -> tuple[np.ndarray, list[str]]:
    """Codes (-1 where null) and the texts that they stand for."""
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return coded.indices.fill_null(-1).to_numpy(zero_copy_only=False), coded.dictionary.to_pylist()


def _texts(text: str) -> list[str]:
    return list(json.loads(text))


def _refuse(wrong: np.ndarray) -> None:
    if wrong.any():
        raise OddRowError(int(np.flatnonzero(wrong)[0]))
