"""A log as flat columns: ragged episodes by offsets, T + 1 observations each."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np

from envs.specification import AgentSpecification

TRAIN, SELECT, FINAL, EMBARGO = 0, 1, 2, -1
SPLIT_NAMES = {"train": TRAIN, "select": SELECT, "final": FINAL}
ROW_COLUMNS = ("observations", "allowed", "root_probabilities")
EPISODE_COLUMNS = ("end_known", "units", "splits", "sequences")


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """N decisions in E episodes of one agent.

    Episode ``e`` owns decisions ``offsets[e]:offsets[e + 1]`` and, in the arrays of length N + E,
    rows ``offsets[e] + e : offsets[e + 1] + e + 1``: its T observations and the one it ended in.

    Attributes:
        specification: the agent's declaration.
        identifier: content hash in canonical order.
        offsets: int64 (E + 1,).
        observations: float64 (N + E, D), raw rows; NaN rows where an end is not known.
        allowed: bool (N + E, A), actions that were allowed (all at an end).
        actions: int64 (N,), indices of the requested actions.
        propensities: float64 (N,), NaN where not logged.
        action_probabilities: float64 (N, A), the logging policy's; NaN rows where not logged.
        root_probabilities: float64 (N + E, A), the bare rule's (no floor); NaN rows where not known.
        rewards: float64 (N,).
        worst: bool (N,), outcomes in the declared worst class.
        terminated: bool (N,).
        truncated: bool (N,).
        end_known: bool (E,), whether the observation after the last decision is known.
        timestamps: float64 (N,), seconds since the epoch, NaN where absent.
        policy_versions: str (N,), the deciding policy's version, empty where absent.
        units: str (E,), the independent unit of each episode.
        splits: int8 (E,), TRAIN, SELECT, FINAL or EMBARGO.
        sequences: int64 (E,), journal position of each episode's last record.
        guardrails: float64 (N, G), the declared guardrails' values; NaN where the outcome does not tell.
    """

    specification: AgentSpecification
    identifier: str
    offsets: np.ndarray
    observations: np.ndarray
    allowed: np.ndarray
    actions: np.ndarray
    propensities: np.ndarray
    action_probabilities: np.ndarray
    root_probabilities: np.ndarray
    rewards: np.ndarray
    worst: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    end_known: np.ndarray
    timestamps: np.ndarray
    policy_versions: np.ndarray
    units: np.ndarray
    splits: np.ndarray
    sequences: np.ndarray
    guardrails: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))

    def __post_init__(self) -> None:
        if self.guardrails.size == 0:  # none declared, or not measured
            shape = (len(self.actions), len(self.specification.guardrails))
            object.__setattr__(self, "guardrails", np.full(shape, np.nan))

    def __len__(self) -> int:
        return len(self.actions)

    def __deepcopy__(self, memo: object) -> Dataset:
        """The dataset itself: it is never written to, and RLlib copies configurations often."""
        return self

    @property
    def episode_count(self) -> int:
        """Number of episodes, E."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Decisions of each episode, int64 (E,)."""
        return np.diff(self.offsets)

    @property
    def episode_index(self) -> np.ndarray:
        """Episode of each decision, int64 (N,)."""
        return np.repeat(np.arange(self.episode_count), self.lengths)

    @property
    def steps(self) -> np.ndarray:
        """Position of each decision in its episode, int64 (N,)."""
        return np.arange(len(self)) - np.repeat(self.offsets[:-1], self.lengths)

    @property
    def rows(self) -> np.ndarray:
        """Row of each decision's observation in the (N + E) arrays, int64 (N,). Add 1 for the next."""
        return np.arange(len(self)) + self.episode_index

    @property
    def next_known(self) -> np.ndarray:
        """Whether the observation after each decision is known, bool (N,)."""
        known = np.ones(len(self), dtype=bool)
        known[self.offsets[1:] - 1] = self.end_known
        return known

    def select_episodes(self, chosen: np.ndarray) -> Dataset:
        """The dataset of the chosen episodes (bool (E,) or indices), in the order given.

        Neighbours in their order share the columns of this dataset, which may be mapped; all else is copied.
        """
        indices = np.flatnonzero(chosen) if np.asarray(chosen).dtype == bool else np.asarray(chosen, dtype=np.int64)
        starts, lengths = self.offsets[indices], self.lengths[indices]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        episodes: np.ndarray | slice = indices
        decision: np.ndarray | slice
        row: np.ndarray | slice
        if len(indices) and (np.diff(indices) == 1).all():
            first, decided = int(indices[0]), int(starts[0])
            episodes = slice(first, first + len(indices))
            decision = slice(decided, decided + int(offsets[-1]))
            row = slice(decided + first, decided + first + int(offsets[-1]) + len(indices))
        else:
            decision = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
            row = np.repeat(starts + indices - offsets[:-1] - np.arange(len(indices)), lengths + 1) + np.arange(
                offsets[-1] + len(indices)
            )
        changes: dict[str, np.ndarray] = {"offsets": offsets}
        for column in fields(self):
            if column.name in ("specification", "identifier", "offsets"):
                continue
            values = getattr(self, column.name)
            index = row if column.name in ROW_COLUMNS else decision
            if column.name in EPISODE_COLUMNS:
                index = episodes
            changes[column.name] = values[index]
        return replace(self, **changes)  # type: ignore[arg-type]

    def split(self, *names: str) -> Dataset:
        """The episodes of the named splits (``train``, ``select``, ``final``)."""
        return self.select_episodes(np.isin(self.splits, [SPLIT_NAMES[name] for name in names]))
