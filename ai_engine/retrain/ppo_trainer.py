"""PPO by hand: one episode after the other, and a policy file that goes on learning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ai_engine.retrain.actor_critic import ActorCritic, PlayedDecisions
from ai_engine.retrain.network_model import network_policy
from ai_engine.retrain.network_trainer import NetworkTrainer, check
from ai_engine.retrain.played_episode import PlayedEpisode, read_episode, read_mask
from ai_engine.retrain.ppo_statistics import PPOStatistics
from algorithms.policy.network import Network
from algorithms.policy.policy import Policy
from algorithms.ppo_update import Coefficients, explained_variance, generalized_advantages
from algorithms.rollouts import draw_actions
from envs.adam import one_thread
from envs.errors import DataError, RecordError
from envs.specification import Action

MEMORY = 0.99
"""Share of the usual size of an advantage that an episode leaves as it was."""


class PPOTrainer(NetworkTrainer[ActorCritic]):
    """Proximal policy optimisation (Schulman et al. 2017) on episodes that its own policy has played.

    The loss is that of :mod:`algorithms.ppo_update`, with generalised advantages. Advantages are divided by
    their usual size and not centred: an episode may be a single decision, and be good as a whole. Play with
    :meth:`act`, hand the episode to :meth:`train_episode`, and begin again.

    The file of :meth:`save_model` is a policy artefact like any other, for ``ai_engine.deploy.load_policy``, with
    the stochastic policy. Value function, optimizer moments and random numbers lie in the same file, exactly, so
    that :meth:`load_model` goes on where :meth:`save_model` stopped.

    Args:
        state_size: Z: states are vectors of Z numbers, or integers 0 … Z − 1; the first ones seen decide which.
        action_size: number of actions, A.
        learning_rate: of Adam.
        clip_epsilon: ε of the surrogate, in (0, 1).
        discount_factor: γ in [0, 1].
        gae_lambda: λ of the advantages, in [0, 1].
        entropy_weight: what a nat of entropy is worth.
        value_weight: weight of the value function's loss.
        value_scale: usual size of a return; the value function learns in this unit.
        epochs: passes over an episode.
        minibatch_size: decisions of a step.
        hidden: sizes of the hidden layers of the policy, and of the value function; tanh.
        center: subtracted from a vector's numbers; one for all, or Z of them.
        scale: these are divided by it; what lies beyond ±10 after that is cut.
        agent: whose policy it is.
        actions: what the A actions are called in the policy; 0 … A − 1 by default.
        explore: exploration floor of the policy, in [0, 1].
        seed: of weights and draws; ``None`` takes the system's.

    Raises:
        SpecificationError: a setting out of its range; names it.
    """

    algorithm = "ppo"
    networks = ActorCritic
    restored = (
        "learning_rate",
        "clip_epsilon",
        "discount_factor",
        "gae_lambda",
        "entropy_weight",
        "value_weight",
        "value_scale",
        "epochs",
        "minibatch_size",
        "hidden",
    )
    statistics: PPOStatistics | None = None

    def __init__(
        self,
        state_size: int,
        action_size: int,
        learning_rate: float = 3e-4,
        clip_epsilon: float = 0.2,
        *,
        discount_factor: float = 0.99,
        gae_lambda: float = 0.95,
        entropy_weight: float = 0.0,
        value_weight: float = 0.5,
        value_scale: float = 1.0,
        epochs: int = 4,
        minibatch_size: int = 64,
        hidden: Sequence[int] = (64, 64),
        center: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
        agent: str = "ppo",
        actions: Sequence[Action] | None = None,
        explore: float = 0.0,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            state_size,
            action_size,
            learning_rate=learning_rate,
            discount_factor=discount_factor,
            value_scale=value_scale,
            hidden=hidden,
            center=center,
            scale=scale,
            agent=agent,
            actions=actions,
            explore=explore,
            seed=seed,
        )
        check(
            self.where,
            ("clip_epsilon", clip_epsilon, 0.0 < clip_epsilon < 1.0, "a number in (0, 1)"),
            ("gae_lambda", gae_lambda, 0.0 <= gae_lambda <= 1.0, "a number in [0, 1]"),
            ("entropy_weight", entropy_weight, 0.0 <= entropy_weight < math.inf, "0 or more"),
            ("value_weight", value_weight, 0.0 <= value_weight < math.inf, "0 or more"),
            ("epochs", epochs, epochs >= 1, "1 or more"),
            ("minibatch_size", minibatch_size, minibatch_size >= 1, "1 or more"),
        )
        self.clip_epsilon, self.gae_lambda = clip_epsilon, gae_lambda
        self.entropy_weight, self.value_weight = entropy_weight, value_weight
        self.epochs, self.minibatch_size = epochs, minibatch_size
        self._usual, self._seen = 0.0, 0.0

    def action_probabilities(self, state: Any, allowed: Sequence[bool] | None = None) -> np.ndarray:
        """π(· | state), float64 (A,), without the exploration floor.

        Args:
            state: an integer in [0, Z), or a vector of Z numbers.
            allowed: bool (A,), the actions that may be taken; all by default.

        Raises:
            RecordError: a value does not fit; names the field.
        """
        features = self._features([state], "state")
        mask = None if allowed is None else torch.from_numpy(read_mask([allowed], 1, self.action_size))
        with one_thread():
            return np.asarray(self._networks.log_probabilities(features, mask)[0].double().softmax(0).numpy())

    def act(self, state: Any, allowed: Sequence[bool] | None = None) -> int:
        """The position of an action drawn from :meth:`action_probabilities`."""
        probabilities = self.action_probabilities(state, allowed)
        return int(draw_actions(probabilities[None, :], self._random.random(1))[0])

    def train_episode(
        self,
        states: Any,
        actions: Sequence[int],
        rewards: Sequence[float],
        dones: Sequence[bool],
        *,
        next_state: Any = None,
        propensities: Sequence[float] | None = None,
        allowed: Sequence[Sequence[bool]] | None = None,
    ) -> PPOStatistics:
        """Learn from one episode, or from several one after the other, that the present policy has played.

        Args:
            states: integers (n,), or numbers (n, Z).
            actions: integers (n,) in [0, A).
            rewards: finite numbers (n,).
            dones: bool (n,), whether the episode terminated with that decision.
            next_state: the state after the last decision where that did not terminate. Without it that
                decision is not learned from; its value stands for what follows the others.
            propensities: numbers (n,) in (0, 1], with which the actions were drawn, where that was not by
                the present policy.
            allowed: bool (n, A), the actions that could be taken; all by default.

        Raises:
            DataError: there is no decision to learn from.
            RecordError: a value does not fit; names the field.
        """
        count = len(actions)
        if not count:
            raise DataError("has no decision to train from", where=self.where, remedy="give an episode of 1 or more")
        episode = read_episode(actions, rewards, dones, allowed, propensities, self.action_size)
        features = self._features(states, "states")
        if len(features) != count:
            raise RecordError(f"are {len(features)}, actions are {count}", field="states", remedy="give one a decision")
        following = np.zeros(1)
        with one_thread():
            old, values = self._old(features, episode), self._values(features)
            if not episode.dones[-1] and next_state is not None:
                following = self._values(self._features([next_state], "next_state"))
            elif not episode.dones[-1]:
                count, following = count - 1, values[-1:]
            if not count:
                raise DataError(
                    "does not know what follows its only decision", where=self.where, remedy="give next_state"
                )
            values = np.concatenate([values[:count], following])
            ended = episode.dones[:count, None]
            advantages = generalized_advantages(
                episode.rewards[:count, None], values[:, None], ended, ended, self.discount_factor, self.gae_lambda
            )[:, 0]
            targets = advantages + values[:-1]
            played = PlayedDecisions(
                features=torch.from_numpy(features[:count]),
                actions=torch.from_numpy(episode.actions[:count]),
                old_log_p=old[:count],
                advantages=_floats(advantages / self._usual_size(advantages)),
                targets=_floats(targets / self.value_scale),
                allowed=None if episode.allowed is None else torch.from_numpy(episode.allowed[:count]),
            )
            found = self._networks.descend(
                played,
                Coefficients(self.clip_epsilon, self.value_weight, math.inf, self.entropy_weight),
                self._random,
                learning_rate=self.learning_rate,
                epochs=self.epochs,
                minibatch_size=self.minibatch_size,
            )
        self.statistics = PPOStatistics.of_steps(found, count, explained_variance(targets, values[:-1]))
        return self.statistics

    def policy(self) -> Policy:
        """The stochastic policy with the exploration floor.

        Raises:
            DataError: nothing was learned yet.
        """
        model = self._model()
        return network_policy(model, Network(model.states.encoder, self._networks.actor.weights), self.updates)

    def _counters(self) -> dict[str, float]:
        return {"usual": self._usual, "seen": self._seen}

    def _values(self, features: np.ndarray) -> np.ndarray:
        return self.value_scale * self._networks.values(features)

    def _old(self, features: np.ndarray, episode: PlayedEpisode) -> torch.Tensor:
        """ln of the probabilities with which the actions were drawn, (n,)."""
        if episode.propensities is not None:
            return _floats(np.log(episode.propensities))
        mask = None if episode.allowed is None else torch.from_numpy(episode.allowed)
        return self._networks.log_probabilities(features, mask)[torch.arange(len(features)), episode.actions]

    def _usual_size(self, advantages: np.ndarray) -> float:
        """Root of the running mean square of advantages."""
        self._usual = MEMORY * self._usual + (1.0 - MEMORY) * float(np.square(advantages).mean())
        self._seen = MEMORY * self._seen + (1.0 - MEMORY)
        return math.sqrt(self._usual / self._seen) or 1.0


def _floats(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
