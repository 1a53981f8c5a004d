"""An agent in production: it decides by its champion, explores within bounds, and records what it did."""

from __future__ import annotations

import contextlib
import random
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ai_engine.continuous_learning import LearningPipeline
from ai_engine.deploy.champion import ChampionHolder
from ai_engine.deploy.decisions import (
    AgentDecision,
    event_identifier,
    frozen_observation,
    moment_text,
    place_names,
    record_of,
)
from ai_engine.deploy.declaring import DEFAULT_VERSION, check_new, declared_specification, new_specification
from ai_engine.deploy.episodes import RunningEpisodes
from ai_engine.deploy.limits import Limits
from algorithms.policy import Policy
from algorithms.policy.mixing import UniformSource
from algorithms.policy.policy import SYSTEM_RANDOM
from algorithms.policy.rule import Rule, distribution
from envs.errors import RecordError, RetrainerError, RetrainerWarning, SpecificationError
from envs.forking import reset_after_fork
from envs.home import Home
from envs.record import DecisionRecord
from envs.specification import Action, AgentSpecification

REFRESH_SECONDS = 5.0
NO_LOCK: contextlib.nullcontext[None] = contextlib.nullcontext()


class Agent:
    """Wraps your rule: it explores boundedly, logs every decision with its exact propensity, and
    acts by the champion once one was promoted.

    Args:
        name: ``[a-z0-9][a-z0-9_-]{0,63}``.
        policy: your rule, observation to action or to ``{action: probability}``; by default the declared one.
        actions: all actions; needed where the agent is not declared yet.
        explore: share of decisions drawn uniformly from the allowed actions.
        limits: ``{action: {"cooldown": seconds, "forbidden_when": expression}}``; applied before the draw.
        version: your version of the rule; change it whenever the rule changes.
        horizon: most decisions of an episode; 1 where each decision stands alone, and where it is not given.
        home: the home or its folder; else the one that is found, else the current folder becomes one.
        seed: makes draws and event ids repeatable; by default they are the operating system's.

    Raises:
        SpecificationError: undeclared and no actions given, or an argument contradicts the declaration.
        ArtefactError: the champion does not fit the rule or the declaration.
    """

    def __init__(
        self,
        name: str,
        *,
        policy: Rule | None = None,
        actions: Sequence[Action] | None = None,
        explore: float = 0.0,
        limits: Mapping[Action, Mapping[str, Any]] | None = None,
        version: str = DEFAULT_VERSION,
        horizon: int | None = None,
        home: Home | str | Path | None = None,
        seed: int | None = None,
    ) -> None:
        self.name = name
        self.home = Home.find(home, create=home is None)
        self._arguments = (actions, explore, version, horizon)
        self._seed = seed
        self._random: UniformSource = SYSTEM_RANDOM if seed is None else random.Random(seed)
        self._episodes = RunningEpisodes(self.home, name, repeatable=seed is not None)
        self._pipeline: LearningPipeline | None = None
        self._specification: AgentSpecification | None = None
        self._next_check = 0.0
        self._reset()
        reset_after_fork(self, Agent._reset)
        specification = declared_specification(self.home, name, actions, explore, version, horizon)
        self._rule = policy if policy is not None or specification is None else self.home.rule(name)
        if specification is None:
            check_new(self.home, name, policy, actions, explore, version, horizon)
        known = specification.actions if specification is not None else tuple(actions or ())
        self._limits = Limits(limits, known, f"agent {name}") if limits else None
        if specification is not None:
            self._settle(specification)

    @property
    def specification(self) -> AgentSpecification:
        """The declaration; of an undeclared agent it is there from the first decision on."""
        if self._specification is None:
            raise SpecificationError("is not declared yet", where=f"agent {self.name}", remedy="let it decide once")
        return self._specification

    @property
    def policy(self) -> Policy:
        """The policy that decides now."""
        self.specification  # noqa: B018
        return self._champion.policy

    def decide(
        self,
        observation: Any,
        *,
        allowed_actions: Sequence[Action] | None = None,
        episode_id: str | None = None,
        tenant: str = "default",
        timestamp: str | datetime | None = None,
        step: int | None = None,
    ) -> AgentDecision:
        """Draw an action; hand the decision to :meth:`record` when its outcome is known.

        Args:
            observation: everything known before acting: an integer, a vector, or an object.
            allowed_actions: what is possible now; ``None`` allows all declared actions.
            episode_id: the episode; its decisions are numbered until one is recorded as its end. One that this
                object does not know goes on behind its last decision in the log.
            tenant: whose decision.
            timestamp: with zone; now by default.
            step: position in the episode, where it is not the next one: other processes decide in the same
                episode, or a buffer has not written its last decisions.

        Raises:
            RecordError: the observation, an action, the episode, its step, the tenant or the timestamp does not fit;
                the episode has ended in the log; or no action is left.
            JournalError: the log of an episode that is not known cannot be read.
        """
        if step is not None and (episode_id is None or type(step) is not int or step < 0):
            raise RecordError(
                f"{step!r} is no step of an episode", field="step", remedy="give episode_id and 0, 1, 2, …"
            )
        tenant, episode_id = place_names(tenant, episode_id)
        if self._specification is None:
            self._declare(observation)
        elif time.monotonic() >= self._next_check:
            self._check_champion()
        specification, champion = self.specification, self._champion.policy
        moment = datetime.now(UTC).isoformat() if timestamp is None else moment_text(timestamp)
        row = specification.observation.row(observation)
        episode = None if episode_id is None else self._episodes.get(tenant, episode_id, specification, step)
        history = None if episode is None else episode.history
        if history is not None:
            history.fill(row)
        seen = frozen_observation(observation)
        root = (
            None
            if self._rule is None
            else distribution(self._rule(observation), champion.actions, champion.action_positions)
        )
        base = root if champion.base is not None else None
        mask = champion.mask(allowed_actions)
        with self._lock if self._limits is not None else NO_LOCK:
            if self._limits is not None:
                seconds = datetime.fromisoformat(moment).timestamp() if self._limits.timed else 0.0
                mask = self._limits.mask(mask, specification.observation, observation, tenant, seconds)
            position, probabilities = champion.decide(row, base, mask, rng=self._random)
            if self._limits is not None:
                self._limits.taken(position, tenant, seconds)
        if history is not None:
            history.add(row, position)
        step = 0 if episode is None else self._episodes.take(episode, step)
        actions = champion.actions
        return AgentDecision(
            action=actions[position],
            propensity=probabilities[position],
            probabilities=dict(zip(actions, probabilities, strict=True)),
            policy_version=champion.record_version,
            agent=self.name,
            event_id=event_identifier(self.name, tenant, episode_id, step, self._seed),
            observation=seen,
            tenant=tenant,
            episode_id=episode_id,
            step=step,
            timestamp=moment,
            allowed_actions=None if mask is None else [a for a, ok in zip(actions, mask, strict=True) if ok],
            root_probabilities=root,
        )

    def record(
        self,
        decision: AgentDecision,
        outcome: Mapping[str, Any] | None = None,
        *,
        reward: float | None = None,
        next_observation: Any = None,
        terminated: bool = False,
        truncated: bool = False,
    ) -> None:
        """Write a decision and its outcome to the log, durably. Arguments as of :meth:`completed`."""
        record = self.completed(
            decision,
            outcome,
            reward=reward,
            next_observation=next_observation,
            terminated=terminated,
            truncated=truncated,
        )
        self.pipeline.record(record)

    def completed(
        self,
        decision: AgentDecision,
        outcome: Mapping[str, Any] | None = None,
        *,
        reward: float | None = None,
        next_observation: Any = None,
        terminated: bool = False,
        truncated: bool = False,
    ) -> DecisionRecord:
        """The record of a decision, unwritten: for ``LearningPipeline.record_many`` in bulk.

        Args:
            decision: from :meth:`decide`.
            outcome: everything known after acting.
            reward: where it is not computed from ``outcome`` by the declared expression.
            next_observation: needed at a truncated end; otherwise the episode's next one is taken.
            terminated: the episode came to its end.
            truncated: the episode was cut.

        Raises:
            RecordError: a value breaks the record contract; names the field.
        """
        end = None
        if truncated and next_observation is not None and self._rule is not None:
            end = distribution(self._rule(next_observation), self.specification.actions)
        record = record_of(
            self.name,
            decision,
            outcome,
            reward=reward,
            next_observation=next_observation,
            terminated=terminated,
            truncated=truncated,
            end_root_probabilities=end,
        )
        if decision.episode_id is not None and (terminated or truncated):
            self._episodes.end(decision.tenant, decision.episode_id)
        return record

    @property
    def pipeline(self) -> LearningPipeline:
        """What records are written through; started by its first use."""
        with self._lock:
            if self._pipeline is None:
                self._pipeline = LearningPipeline(self.home)
                self._pipeline.start()
            return self._pipeline

    def refresh(self) -> str:
        """Read the ledger now and act by its champion from here on; returns the champion's version.

        Raises:
            RegistryError, ArtefactError: the champion cannot be used; the present policy stays.
        """
        self.specification  # noqa: B018
        self._next_check = time.monotonic() + REFRESH_SECONDS
        return self._champion.refresh()

    def close(self) -> None:
        """Write what is not written yet."""
        self._episodes.close()
        with self._lock:
            if self._pipeline is not None:
                self._pipeline.stop()
                self._pipeline = None

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _reset(self) -> None:
        self._lock = threading.RLock()

    def _settle(self, specification: AgentSpecification) -> None:
        if self._limits is not None:
            self._limits.check_fields(specification.observation)
        self._champion = ChampionHolder(self.home, specification, self._rule)
        self._specification = specification
        self._next_check = time.monotonic() + REFRESH_SECONDS

    def _declare(self, observation: Any) -> None:
        actions, explore, version, horizon = self._arguments
        with self._lock:
            if self._specification is not None:
                return
            # Another process may have declared it since.
            specification = declared_specification(self.home, self.name, actions, explore, version, horizon)
            if specification is None:
                specification = new_specification(self.name, observation, actions or (), explore, version, horizon)
                self.home.declare(specification)
            self._settle(specification)

    def _check_champion(self) -> None:
        try:
            self.refresh()
        except (RetrainerError, OSError) as error:
            # A production agent goes on by the policy it has; the next start, or refresh(), raises.
            warnings.warn(f"agent {self.name} stays with its policy: {error}", RetrainerWarning, stacklevel=3)
