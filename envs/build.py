"""From the log to a dataset: whole episodes, T + 1 observations, rewards by the declared expression.

Nothing is dropped silently: :class:`~envs.build_report.BuildReport` counts what is not in the dataset, and why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from envs.build_choices import allowed_rows, choices, chosen_actions
from envs.build_report import BuildReport
from envs.clocked_ends import read_as_cut
from envs.dataset import EMBARGO, Dataset
from envs.declaration import specification_hash
from envs.earlier_rules import forget_earlier_rules
from envs.encoding.stacking import stack_history
from envs.episodes import LoggedEpisode, gather_episodes
from envs.errors import DataError, RecordError
from envs.guardrail import measure_guardrails
from envs.journal.arrivals import UNKNOWN, Arrivals
from envs.log.exclusions import Exclusion
from envs.observation import flatten
from envs.probabilities import root_rows, unfloored
from envs.record import DecisionRecord
from envs.scoring import Scorer
from envs.specification import AgentSpecification
from envs.splits import assign_splits

Rule = Callable[[Any], Any]


class HomeLike(Protocol):
    """What is read of a home: its journal, its key and its declarations."""

    @property
    def journal_path(self) -> Path:
        """The journal's file."""
        ...

    @property
    def split_key(self) -> bytes:
        """The key of the splits."""
        ...

    def specification(self, name: str) -> AgentSpecification:
        """The declaration of an agent."""
        ...


def build_dataset(
    home: HomeLike, name: str, *, rule: Rule | None = None, until: int | None = None, now: float | None = None
) -> tuple[Dataset, BuildReport]:
    """The dataset of an agent's closed episodes in a home's log.

    Args:
        home: the home.
        name: the agent.
        rule: the agent's own rule, ``observation -> action`` or ``-> {action: probability}``; where
            given it is asked at every known observation, ends included.
        until: read the log up to this position only.
        now: seconds since the epoch, by which outcomes must have matured; the present by default.

    Returns:
        The dataset (see :class:`~envs.dataset.Dataset`) and the count of what is not in it.

    Raises:
        SpecificationError: the agent is not declared.
        DataError: it has no records, or a reward is out of the declared range.
        RecordError: a record does not fit the declaration (any more).
    """
    from envs.log.assembly import assemble

    specification = home.specification(name)
    dataset, report = assemble(home, specification, rule=rule, until=until, now=now)
    if report.records == 0:
        of_it = f" of version {specification.version} of its declaration" if report.other_versions else ""
        remedy = f"import a log: retrainer import {name} FILE"
        raise DataError(f"has no records{of_it}", where=f"agent {name}", remedy=remedy)
    if rule is None:
        forget_earlier_rules(dataset, home.journal_path.parent)
    return dataset, report


def dataset_from_records(
    specification: AgentSpecification,
    records: Iterable[tuple[int, DecisionRecord]],
    split_key: bytes,
    *,
    rule: Rule | None = None,
    now: float | None = None,
    exclusions: Sequence[Exclusion] = (),
    retired: frozenset[str] = frozenset(),
    recorded_at: Mapping[int, int] = MappingProxyType({}),
    late: Collection[str] = (),
    arrivals: Arrivals = UNKNOWN,
) -> tuple[Dataset, BuildReport]:
    """The dataset of the closed episodes among (journal position, record) pairs, in any order.

    The episodes' order and the identifier do not depend on the records' order. A decision without an
    episode terminates its own; an episode that reaches the horizon unended, or is abandoned, is truncated there.

    Args:
        specification: the agent's declaration.
        records: the pairs.
        split_key: the home's.
        rule: as of :func:`build_dataset`.
        now: as of :func:`build_dataset`.
        exclusions: ranges of the log that are not used.
        retired: observation fields that are declared no more; they are left out.
        recorded_at: as of :func:`~envs.episodes.gather_episodes`.
        late: ``event_id`` of decisions of which an outcome came too late.
        arrivals: as of :func:`~envs.episodes.gather_episodes`.

    Raises:
        DataError, RecordError: as :func:`build_dataset`.
    """
    gathered = gather_episodes(
        records, specification, now=now, exclusions=exclusions, recorded_at=recorded_at, arrivals=arrivals
    )
    scorer = Scorer(specification)
    scored: list[tuple[LoggedEpisode, list[tuple[float, bool]]]] = []
    tardy = unscored = 0
    reason = ""
    for episode in gathered.episodes:
        listed: list[tuple[float, bool]] = []
        try:
            listed.extend(scorer.score(record) for record in episode.records)
            scored.append((episode, listed))
        except RecordError as error:
            if episode.records[len(listed)].event_id in late:
                tardy += 1
            else:
                unscored, reason = unscored + 1, reason or str(error)
    episodes = [episode for episode, _ in scored]
    scores = [score for _, listed in scored for score in listed]
    rows = [record for episode in episodes for record in episode.records]
    offsets = np.cumsum([0, *(len(episode.records) for episode in episodes)], dtype=np.int64)
    observations, end_known, conflicts = _observations(specification, episodes, retired)
    actions = chosen_actions(specification, rows)
    stack_history(specification.observation, observations, actions, offsets, end_known)
    propensities, probabilities = choices(specification, rows, actions)
    measured = measure_guardrails(specification.guardrails, rows)
    allowed, decision_rows = allowed_rows(specification, episodes, offsets)
    roots = root_rows(specification, rows, decision_rows, observations, rule)
    if rule is None:
        by_rule = np.array([record.policy_version == specification.rule_version for record in rows], dtype=bool)
        missing = by_rule & np.isnan(roots[decision_rows]).any(axis=1)
        roots[decision_rows[missing]] = unfloored(
            probabilities[missing], allowed[decision_rows[missing]], specification.explore
        )
    terminated, truncated = _ends(rows, offsets)
    clocked, blind = read_as_cut(terminated, truncated, end_known, offsets, specification.horizon)
    units, splits = assign_splits(
        split_key,
        specification.unit,
        specification.embargo,
        [episode.tenant for episode in episodes],
        [episode.name for episode in episodes],
        np.array([episode.start for episode in episodes]),
        np.array([episode.end for episode in episodes]),
    )
    dataset = Dataset(
        specification=specification,
        identifier=_identifier(specification, rows),
        offsets=offsets,
        observations=observations,
        allowed=allowed,
        actions=actions,
        propensities=propensities,
        action_probabilities=probabilities,
        root_probabilities=roots,
        rewards=np.array([reward for reward, _ in scores], dtype=np.float64),
        worst=np.array([worst for _, worst in scores], dtype=bool),
        terminated=terminated,
        truncated=truncated,
        end_known=end_known,
        timestamps=np.array([record.seconds for record in rows], dtype=np.float64),
        policy_versions=np.array([record.policy_version or "" for record in rows], dtype=np.str_),
        units=units,
        splits=splits,
        sequences=np.array([episode.sequence for episode in episodes], dtype=np.int64),
        guardrails=measured.values,
    )
    report = BuildReport(
        records=gathered.records,
        decisions=len(rows),
        episodes=len(episodes),
        shadow=gathered.shadow,
        open_episodes=gathered.open_episodes,
        open_decisions=gathered.open_decisions,
        abandoned_episodes=gathered.abandoned_episodes,
        late_episodes=tardy,
        unscored_episodes=unscored,
        unscored_reason=reason,
        duplicated_episodes=gathered.duplicated_episodes,
        broken_episodes=gathered.broken_episodes,
        broken_reason=gathered.broken_reason,
        embargoed_episodes=int((splits == EMBARGO).sum()),
        unknown_ends=int((~end_known & ~terminated[offsets[1:] - 1]).sum()),
        conflicting_observations=conflicts,
        recorded_rewards=scorer.recorded,
        overridden=sum(record.executed_action not in (None, record.action) for record in rows),
        known_roots=int((~np.isnan(roots).any(axis=1)).sum()),
        unmeasured=measured.unmeasured,
        unmeasured_reason=measured.reason,
        immature_episodes=gathered.immature_episodes,
        matures=gathered.matures if gathered.immature_episodes else 0.0,
        mistimed=gathered.mistimed,
        mistimed_first=gathered.mistimed_first,
        excluded_episodes=gathered.excluded_episodes,
        clocked_episodes=clocked,
        blindly_clocked_episodes=blind,
    )
    return dataset, report


def _observations(
    specification: AgentSpecification, episodes: list[LoggedEpisode], retired: frozenset[str]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Raw rows (N + E, D), whether each end is known (E,), and how many next observations conflict."""

    def encode(observation: Any) -> np.ndarray:
        if retired and isinstance(observation, Mapping):
            flat = flatten(observation)
            observation = {name: value for name, value in flat.items() if name not in retired}
        return specification.observation.row(observation)

    out = np.full((sum(len(item.records) + 1 for item in episodes), specification.observation.size), np.nan)
    end_known = np.zeros(len(episodes), dtype=bool)
    position = conflicts = 0
    for number, episode in enumerate(episodes):
        following: Any = None
        for record in episode.records:
            conflicts += following is not None and following != record.observation
            following = record.next_observation
            try:
                out[position] = encode(record.observation)
                position += 1
                if record is episode.records[-1]:
                    if following is not None:
                        out[position] = encode(following)
                        end_known[number] = True
                    position += 1
            except RecordError as error:
                raise error.of(record.agent, record.event_id) from None
    return out, end_known, conflicts


def _ends(rows: list[DecisionRecord], offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    single = np.array([record.is_single for record in rows], dtype=bool)
    terminated = np.array([record.terminated for record in rows], dtype=bool)
    truncated = np.array([record.truncated for record in rows], dtype=bool)
    # Nothing follows a decision without an episode, whatever its recorder left out.
    terminated |= single & ~truncated
    # Every other closed episode that has no flag was closed by the horizon, or abandoned.
    last = offsets[1:] - 1
    truncated[last] |= ~terminated[last]
    return terminated, truncated & ~terminated


def _identifier(specification: AgentSpecification, rows: list[DecisionRecord]) -> str:
    digest = hashlib.sha256(specification_hash(specification).encode())
    for content in sorted(record.content_hash for record in rows):
        digest.update(content.encode())
    return digest.hexdigest()
