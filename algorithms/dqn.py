"""Conservative deep Q-learning on a log, as an RLlib algorithm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.dqn.dqn import DQNConfig as RLlibDQNConfig

from algorithms.anchor import base_probabilities
from algorithms.dqn_data import learnable
from algorithms.dqn_learner import (
    MASK,
    NEXT_BASE,
    NEXT_MASK,
    ConservativeDQNLearner,
    action_values,
    folded_weights,
)
from algorithms.learner_algorithm import LearnerAlgorithm, LearnerConfig, alias
from algorithms.net_free import NOT_PROVIDED, given
from algorithms.never_logged import NEVER, logged_actions, without_never_logged
from algorithms.policy.advantage_network import AdvantageNetwork
from algorithms.policy.components import Component
from algorithms.policy.mixing import allowed_mask
from algorithms.policy.network import Network
from algorithms.replay.prioritized import SMALLEST_PRIORITY
from algorithms.replay.sum_tree import SumTree
from algorithms.tabular_data import training_discount
from envs.errors import DataError
from envs.usual_reward import usual_reward

ANCHORED_WEIGHT, ALONE_WEIGHT = 0.03, 0.3
"""α where none is given."""


class DQNConfig(LearnerConfig, RLlibDQNConfig):
    """Configuration of :class:`DQN`; RLlib's own settings are valid too.

    Minimises, over the log's transitions of up to n steps (:mod:`algorithms.dqn_update`):

        w [ huber(Q(s, a) − R − γⁿ V'(s')) + α (ln Σ_a exp Q(s, a) − Q(s, a_logged)) ]

    A plain DQN on a log believes in actions that were never tried; the penalty α keeps it to what the log
    shows (CQL, Kumar et al. 2020). Rewards are scaled, so that α means the same for every agent. V' is the best
    action's value, by double Q-learning; where anchored that of the anchored policy, without
    the exploration floor.

    Attributes:
        conservative_weight: α; 0 is a plain DQN. ``None`` is 0.03 where anchored and 0.3 alone. It also holds
            back what the log shows to be better but did rarely, which is the very thing an anchored policy looks for.
        anchored: improve the champion (else the agent's bare rule) instead of learning a policy of its own.
        margin: gain that an anchored policy needs to leave its base, in units of the usual reward
            (:func:`envs.usual_reward.usual_reward`).
        discount: γ of the training; ``None``: see :func:`algorithms.tabular_data.training_discount`.
        n_step: decisions that are summed before bootstrapping (RLlib's setting).
        double: choose with the learning network, value with the target (RLlib's ``double_q``).
        dueling: separate heads of value and advantage (RLlib's setting).
        prioritized: draw transitions by their TD error (Schaul et al. 2016), else uniformly.
        priority_exponent: their α, of the draws.
        importance_exponent: their β of the weights at the beginning; it rises to 1 over ``importance_updates``.
        importance_updates: updates after which β is 1.
        target_period: updates between copies to the target network (RLlib's ``target_network_update_freq``).
        updates_per_iteration: updates of one ``train()``.
        batch_size: transitions of one update (RLlib's ``train_batch_size``).
        temperature: of an unanchored policy: softmax temperature in units of the usual reward; 0 takes the
            best action.
    """

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class or DQN)
        self.conservative_weight: float | None = None
        self.anchored: bool = True
        self.margin: float = 0.0
        self.discount: float | None = None
        self.prioritized: bool = False
        self.priority_exponent: float = 0.6
        self.importance_exponent: float = 0.4
        self.importance_updates: int = 5_000
        self.updates_per_iteration: int = 200
        self.temperature: float = 0.0
        self.learning_rate = 0.001
        self.batch_size = 256
        self.target_period = 200
        self.grad_clip = None

    double = alias("double_q")
    batch_size = alias("train_batch_size")
    target_period = alias("target_network_update_freq")

    def training(  # type: ignore[override]
        self,
        *,
        conservative_weight: float | None = NOT_PROVIDED,
        anchored: bool = NOT_PROVIDED,
        margin: float = NOT_PROVIDED,
        discount: float | None = NOT_PROVIDED,
        n_step: int = NOT_PROVIDED,
        double: bool = NOT_PROVIDED,
        dueling: bool = NOT_PROVIDED,
        prioritized: bool = NOT_PROVIDED,
        priority_exponent: float = NOT_PROVIDED,
        importance_exponent: float = NOT_PROVIDED,
        importance_updates: int = NOT_PROVIDED,
        target_period: int = NOT_PROVIDED,
        hidden: Sequence[int] = NOT_PROVIDED,
        activation: str = NOT_PROVIDED,
        learning_rate: float = NOT_PROVIDED,
        batch_size: int = NOT_PROVIDED,
        updates_per_iteration: int = NOT_PROVIDED,
        temperature: float = NOT_PROVIDED,
        **kwargs: Any,
    ) -> DQNConfig:
        """Set hyperparameters; see the attributes."""
        own = {name: value for name, value in locals().items() if name in self.own_settings()}
        super().training(**kwargs)
        for name, value in given(**own).items():
            setattr(self, name, tuple(value) if name == "hidden" else value)
        return self

    def get_default_learner_class(self) -> Any:
        """RLlib's DQN learner with the conservative loss."""
        return ConservativeDQNLearner

    def module_settings(self) -> dict[str, Any]:
        """The hidden layers are the encoder's; the heads are linear in the last of them."""
        return super().module_settings() | {"head_fcnet_hiddens": []}

    def validate(self) -> None:
        """Check the configuration.

        Raises:
            SpecificationError: a setting out of its range; names it.
        """
        super().validate()
        for name in ("n_step", "importance_updates", "target_period", "updates_per_iteration", "batch_size"):
            value = getattr(self, name)
            self.require(isinstance(value, int) and value >= 1, f"{name} is {value}", "give 1 or more")
        for name in ("conservative_weight", "margin", "priority_exponent", "temperature"):
            value = getattr(self, name)
            self.require(value is None or 0.0 <= value < np.inf, f"{name} is {value}", "give 0 or more")
        beta = self.importance_exponent
        self.require(0.0 <= beta <= 1.0, f"importance_exponent is {beta}", "give a number in [0, 1]")
        discounted = self.discount is None or 0.0 <= self.discount < 1.0
        self.require(discounted, f"discount is {self.discount}", "give a number in [0, 1)")
        self.require(self.num_atoms == 1, f"num_atoms is {self.num_atoms}", "use 1: values are means")


class DQN(LearnerAlgorithm):
    """Deep Q-learning from the rows of a log; see :class:`DQNConfig`.

    Metrics, means over the iteration's updates: ``loss`` (in scaled units), ``td_error`` (mean |δ|) and ``mean_q``
    (of the logged actions), both in units of the return, ``conservative_gap`` (scaled); and ``updates``,
    ``converged`` (always 0: a network has no last step).
    """

    config: DQNConfig
    learner: ConservativeDQNLearner

    @classmethod
    def get_default_config(cls) -> DQNConfig:
        """The configuration class's defaults."""
        return DQNConfig(cls)

    def prepare(self) -> None:
        """Make the columns, and give all transitions the same priority."""
        config = self.config
        usual = ANCHORED_WEIGHT if config.anchored else ALONE_WEIGHT
        self.conservative_weight = usual if config.conservative_weight is None else config.conservative_weight
        self.unit = usual_reward(self.data.rewards)
        self.discount = training_discount(self.data.specification, config.discount)
        base = base_probabilities(self.data, config.champion) if config.anchored else None
        self.columns = columns = learnable(
            self.data, self.encoder, discount=self.discount, steps=config.n_step, base=base
        )
        self._features = torch.from_numpy(columns.features)
        self._rows, self._next_rows = torch.from_numpy(columns.rows), torch.from_numpy(columns.next_rows)
        self._plain = {
            "actions": torch.from_numpy(columns.actions),
            "rewards": torch.from_numpy(columns.rewards),
            "terminateds": torch.from_numpy(columns.terminated.astype(np.float32)),
            "n_step": torch.from_numpy(columns.lengths.astype(np.float32)),
        }
        self._allowed = None if columns.allowed is None else torch.from_numpy(columns.allowed)
        self._base = None if columns.base is None else torch.from_numpy(columns.base)
        self.priorities = SumTree(len(columns.rows))
        self.priorities.set(np.arange(len(columns.rows)), np.ones(len(columns.rows)))

    def learner_config(self) -> Any:
        """RLlib's configuration with γ, and with the penalty and the margin in scaled units."""
        config = super().learner_config()
        config.gamma = self.discount
        config.learner_config_dict = {
            "conservative_weight": self.conservative_weight,
            "margin": self.config.margin * self.unit / self.columns.scale,
        }
        return config

    def _batch(self, chosen: torch.Tensor) -> dict[str, torch.Tensor]:
        """A batch by RLlib's column names, of the transitions int64 (n,)."""
        rows, following = self._rows[chosen], self._next_rows[chosen]
        batch = {name: column[chosen] for name, column in self._plain.items()}
        batch |= {"obs": self._features[rows], "new_obs": self._features[following]}
        if self._allowed is not None:
            batch |= {MASK: self._allowed[rows], NEXT_MASK: self._allowed[following]}
        if self._base is not None:
            batch[NEXT_BASE] = self._base[following]
        return batch

    def _uniform_batches(self) -> Iterator[dict[str, torch.Tensor]]:
        size = (self.config.updates_per_iteration, self.config.batch_size)
        for chosen in torch.from_numpy(self.random.integers(len(self.columns.rows), size=size)):
            yield self._batch(chosen)

    def _prioritized_batches(self) -> Iterator[dict[str, torch.Tensor]]:
        """Batches by priority, whose TD errors become priorities before the next one is drawn."""
        config, tree = self.config, self.priorities
        for _ in range(config.updates_per_iteration):
            marks = (np.arange(config.batch_size) + self.random.random(config.batch_size)) / config.batch_size
            chosen = tree.find(marks * tree.total)
            done = min(self.learner.steps / config.importance_updates, 1.0)
            beta = config.importance_exponent + done * (1.0 - config.importance_exponent)
            weights = (tree.weights[chosen] / tree.weights.min()) ** -beta
            yield self._batch(torch.from_numpy(chosen)) | {"weights": torch.from_numpy(weights.astype(np.float32))}
            found = np.abs(self.learner.errors.numpy().astype(np.float64)) + SMALLEST_PRIORITY
            tree.set(chosen, found**config.priority_exponent)

    def learn(self) -> dict[str, float]:
        """This iteration's updates."""
        figures = self.take_steps(self._prioritized_batches() if self.config.prioritized else self._uniform_batches())
        scale, centre = self.columns.scale, self.columns.centre
        return figures | {
            "td_error": scale * figures["td_error"],
            "mean_q": centre + scale * figures["mean_q"],
            "updates": float(self.learner.steps),
            "converged": 0.0,
        }

    def model_state(self) -> dict[str, Any]:
        """Encoder, learner and priorities."""
        return super().model_state() | {"priorities": self.priorities.weights.copy()}

    def set_model_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`model_state` gave."""
        super().set_model_state(state)
        self.priorities.set(np.arange(len(self.columns.rows)), state["priorities"])

    def export_component(self) -> Component:
        """A network of action values over its base where anchored, else one that chooses alone."""
        config, columns = self.config, self.columns
        weights = without_never_logged(folded_weights(self.module, columns.centre, columns.scale), self.data)
        temperature = config.temperature * self.unit
        network = Network(self.encoder, weights, config.activation, 0.0 if config.anchored else temperature)
        return AdvantageNetwork(network, config.margin * self.unit) if config.anchored else network

    def probabilities(
        self, rows: np.ndarray, *, allowed: np.ndarray | None = None, base: np.ndarray | None = None
    ) -> np.ndarray:
        """Probabilities (N, A) of the learned layer, without floor, by RLlib's module in double precision.

        Raises:
            DataError: anchored, and no base is given.
        """
        values = self.columns.scale * action_values(self.module, self.encoder.features(rows))
        values = values + np.where(logged_actions(self.data), 0.0, NEVER)
        mask = allowed_mask(allowed, len(rows), values.shape[1])
        possible, one_hot = np.where(mask, values, -np.inf), np.eye(values.shape[1])
        best = possible.argmax(axis=1)
        if self.config.anchored:
            if base is None:
                raise DataError("the base's probabilities are missing", where="DQN", remedy="give base (N, A)")
            gain = possible.max(axis=1, keepdims=True) - values
            moves = np.where(gain > self.config.margin * self.unit, best[:, None], np.arange(values.shape[1]))
            return np.asarray(np.einsum("nb,nba->na", base, one_hot[moves]))
        if self.config.temperature == 0.0:
            return one_hot[best]
        raised = np.exp((possible - possible.max(axis=1, keepdims=True)) / (self.config.temperature * self.unit))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))
