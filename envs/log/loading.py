"""A dataset from a sealed log, column by column: what :func:`envs.build.dataset_from_records` makes one by one.

Three passes over the files, each reading its own columns, so that beside the dataset there is little in
memory: who belongs where (:mod:`envs.log.grouping`), what the decisions earned (:mod:`envs.log.earning`),
and what was seen and done. A row that the declaration does not cover is handed to the record's own checks,
which say what is wrong with it.
"""

from __future__ import annotations

import hashlib
from binascii import hexlify
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from envs.clocked_ends import read_as_cut
from envs.dataset import EMBARGO, Dataset
from envs.declaration import specification_hash
from envs.encoding.stacking import stack_history
from envs.errors import DataError, RecordError
from envs.journal.arrivals import Arrivals
from envs.log.columns import ColumnReader
from envs.log.earning import earn, used
from envs.log.exclusions import Exclusion
from envs.log.forms import OddRowError
from envs.log.grouping import GroupedLog, group
from envs.log.placing import placed
from envs.log.source import LogSource
from envs.log.units import units_and_splits
from envs.probabilities import root_rows, unfloored
from envs.specification import AgentSpecification

if TYPE_CHECKING:
    from envs.build_report import BuildReport

SEEN = ("observation_form", "observation_numbers", "observation_texts")
NEXT = ("next_form", "next_numbers", "next_texts")
CHOSEN = (
    "action", "propensity", "probability_names", "probabilities", "root_names", "root_probabilities",
    "allowed", "policy_version", "overridden",
)  # fmt: skip
AT_ONCE = 65_536  # rows: what is computed beside the dataset stays small, and in the processor's cache


@dataclass(slots=True, eq=False)
class _Columns:
    """The columns of a dataset that is being filled, and what is counted on the way."""

    observations: np.ndarray
    allowed: np.ndarray
    roots: np.ndarray
    actions: np.ndarray
    propensities: np.ndarray
    probabilities: np.ndarray
    versions: np.ndarray
    end_known: np.ndarray
    version_names: list[str] = field(default_factory=list)
    overridden: int = 0
    conflicts: int = 0


def load(
    source: LogSource,
    specification: AgentSpecification,
    split_key: bytes,
    *,
    rule: Callable[[Any], Any] | None,
    now: float,
    exclusions: Sequence[Exclusion],
    retired: frozenset[str],
    arrivals: Arrivals,
) -> tuple[Dataset, BuildReport]:
    """The dataset of a log; arguments and errors as of :func:`envs.build.dataset_from_records`."""
    from envs.build_report import BuildReport

    log = group(source, specification, now, exclusions, arrivals)
    earned = earn(source, log, specification)
    offsets = np.concatenate([[0], np.cumsum(log.lengths)]).astype(np.int64)
    count, episodes = int(offsets[-1]), len(log.lengths)
    identifier = _identifier(specification, earned.take_hashes())
    terminated, truncated, timestamps = _ends(log, offsets)
    log.release()
    columns = _fill(source, log, specification, offsets, retired)
    clocked, blind = read_as_cut(terminated, truncated, columns.end_known, offsets, specification.horizon)
    roots = columns.roots
    if rule is not None:
        roots = root_rows(specification, [], np.empty(0, dtype=np.int64), columns.observations, rule)
    else:
        _add_bare_rule(columns, specification, offsets)
    versions = np.array(columns.version_names, dtype=np.str_)[columns.versions] if count else np.empty(0, np.str_)
    units, splits = units_and_splits(log, specification, split_key)
    dataset = Dataset(
        specification=specification,
        identifier=identifier,
        offsets=offsets,
        observations=columns.observations,
        allowed=columns.allowed,
        actions=columns.actions,
        propensities=columns.propensities,
        action_probabilities=columns.probabilities,
        root_probabilities=roots,
        rewards=earned.rewards,
        worst=earned.worst,
        terminated=terminated,
        truncated=truncated,
        end_known=columns.end_known,
        timestamps=timestamps,
        policy_versions=versions,
        units=units,
        splits=splits,
        sequences=log.positions,
        guardrails=earned.guardrails,
    )
    report = BuildReport(
        records=source.records,
        decisions=count,
        episodes=episodes,
        shadow=source.shadow,
        open_episodes=log.open_episodes,
        open_decisions=log.open_decisions,
        abandoned_episodes=log.abandoned_episodes,
        late_episodes=earned.late_episodes,
        unscored_episodes=earned.unscored_episodes,
        unscored_reason=earned.unscored_reason,
        duplicated_episodes=log.duplicated_episodes,
        broken_episodes=log.broken_episodes,
        broken_reason=log.broken_reason,
        embargoed_episodes=int((splits == EMBARGO).sum()),
        unknown_ends=int((~columns.end_known & ~terminated[offsets[1:] - 1]).sum()),
        conflicting_observations=columns.conflicts,
        recorded_rewards=earned.recorded,
        overridden=columns.overridden,
        known_roots=int((~np.isnan(roots).any(axis=1)).sum()),
        unmeasured=earned.unmeasured,
        unmeasured_reason=earned.unmeasured_reason,
        immature_episodes=log.immature_episodes,
        matures=log.matures,
        mistimed=log.mistimed,
        mistimed_first=log.mistimed_first,
        excluded_episodes=log.excluded_episodes,
        clocked_episodes=clocked,
        blindly_clocked_episodes=blind,
        late_outcomes=source.late,
        contradictory_outcomes=source.contradictory,
        orphaned_outcomes=source.orphans,
    )
    return dataset, report


def _fill(
    source: LogSource, log: GroupedLog, specification: AgentSpecification, offsets: np.ndarray, retired: frozenset[str]
) -> _Columns:
    """The third pass: what was seen, chosen and possible."""
    count, episodes, actions = int(offsets[-1]), len(log.lengths), len(specification.actions)
    columns = _Columns(
        observations=np.full((count + episodes, specification.observation.size), np.nan),
        allowed=np.ones((count + episodes, actions), dtype=bool),
        roots=np.full((count + episodes, actions), np.nan),
        actions=np.empty(count, dtype=np.int64),
        propensities=np.full(count, np.nan),
        probabilities=np.full((count, actions), np.nan),
        versions=np.zeros(count, dtype=np.int32),
        end_known=np.zeros(episodes, dtype=bool),
    )
    reader = ColumnReader(specification, retired)
    for rows, batch in used(source, log, (*SEEN, *CHOSEN)):
        episode = log.episode[rows]
        places = offsets[episode] + log.step[rows]
        try:
            columns.observations[places + episode] = reader.rows(batch, "observation")
            columns.actions[places] = reader.actions(batch)
            columns.probabilities[places] = chances = reader.distributions(batch, "probability_names", "probabilities")
            columns.propensities[places] = reader.propensities(batch, chances, columns.actions[places])
            columns.roots[places + episode] = reader.distributions(batch, "root_names", "root_probabilities")
            columns.allowed[places + episode] = reader.allowed(batch)
            columns.versions[places] = reader.versions(batch)
            columns.overridden += pc.sum(batch["overridden"]).as_py() or 0
        except OddRowError as odd:
            _complain(source, specification, retired, int(log.sequence[rows[odd.row]]))
    columns.version_names = reader.version_names
    for rows, batch in used(source, log, NEXT):
        told = batch["next_form"].is_valid().to_numpy(zero_copy_only=False)
        if not told.any():
            continue
        rows, batch = rows[told], batch.filter(pa.array(told))
        episode = log.episode[rows]
        place = offsets[episode] + log.step[rows] + episode
        last = log.step[rows] == log.lengths[episode] - 1
        try:
            columns.observations[place[last] + 1] = reader.rows(batch.filter(pa.array(last)), "next")
        except OddRowError as odd:
            _complain(source, specification, retired, int(log.sequence[rows[np.flatnonzero(last)[odd.row]]]))
        columns.end_known[episode[last]] = True
        following = reader.rows_if_fit(batch.filter(pa.array(~last)), "next")
        then = columns.observations[place[~last] + 1]
        same = (following == then) | (np.isnan(following) & np.isnan(then))
        columns.conflicts += int((~same.all(axis=1)).sum())
    stack_history(specification.observation, columns.observations, columns.actions, offsets, columns.end_known)
    return columns


def _complain(source: LogSource, specification: AgentSpecification, retired: frozenset[str], sequence: int) -> NoReturn:
    """Raise what the record's own checks say of a decision.

    Raises:
        RecordError, DataError: what is wrong.
    """
    from envs.build import dataset_from_records

    record = source.record(sequence, specification.maturation)
    alone = replace(record, episode_id=record.event_id, step=0, terminated=True, reward=record.reward or 0.0)
    bare = replace(specification, reward_range=None)
    try:
        dataset_from_records(bare, [(sequence, alone)], bytes(32), retired=retired)
    except (RecordError, DataError) as error:
        raise placed(error, sequence, record) from None
    raise AssertionError(f"{record.event_id} does not fit its declaration, but nothing is wrong with it")


def _ends(log: GroupedLog, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Terminated, truncated and timestamps of the decisions, by the rules of :mod:`envs.build`."""
    count = int(offsets[-1])
    rows = np.flatnonzero(log.episode >= 0)
    places = offsets[log.episode[rows]] + log.step[rows]
    terminated, truncated, timestamps = np.empty(count, dtype=bool), np.empty(count, dtype=bool), np.empty(count)
    ended, cut = log.ended[rows], log.cut[rows]
    terminated[places] = ended | (log.single[rows] & ~cut)
    truncated[places] = cut
    timestamps[places] = log.seconds[rows]
    last = offsets[1:] - 1
    truncated[last] |= ~terminated[last]
    return terminated, truncated & ~terminated, timestamps


def _add_bare_rule(columns: _Columns, specification: AgentSpecification, offsets: np.ndarray) -> None:
    """The bare rule's probabilities where it decided and was not asked, read off what was logged."""
    version = specification.rule_version
    if version not in columns.version_names:
        return
    code = columns.version_names.index(version)
    for start in range(0, int(offsets[-1]), AT_ONCE):
        decisions = start + np.flatnonzero(columns.versions[start : start + AT_ONCE] == code)
        rows = decisions + np.searchsorted(offsets, decisions, side="right") - 1
        missing = np.isnan(columns.roots[rows]).any(axis=1)
        decisions, rows = decisions[missing], rows[missing]
        columns.roots[rows] = unfloored(columns.probabilities[decisions], columns.allowed[rows], specification.explore)


def _identifier(specification: AgentSpecification, hashes: np.ndarray) -> str:
    """As :mod:`envs.build` names a dataset: the hash of the sorted content hashes."""
    digest = hashlib.sha256(specification_hash(specification).encode())
    heads = np.ascontiguousarray(hashes[:, :8]).view(">u8").ravel().astype(np.uint64)  # sorted faster than theirs
    order = np.argsort(heads)
    heads = heads[order]
    if (heads[1:] == heads[:-1]).any():  # equal beginnings: sort by the whole
        order = np.argsort(np.ascontiguousarray(hashes).view("S32").ravel(), kind="stable")
    for start in range(0, len(order), AT_ONCE):
        digest.update(hexlify(hashes[order[start : start + AT_ONCE]].tobytes()))
    return digest.hexdigest()
