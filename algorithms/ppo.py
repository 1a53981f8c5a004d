"""PPO in an environment that was made of a log, as an RLlib algorithm; warm-started from a clone and held to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from ray.rllib.algorithms.ppo import PPOConfig as RLlibPPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing

from algorithms.cloning_fit import Weights, network_probabilities
from algorithms.learner_algorithm import LearnerAlgorithm, LearnerConfig
from algorithms.net_free import NOT_PROVIDED, given
from algorithms.never_logged import without_never_logged
from algorithms.policy.components import Component, Network
from algorithms.ppo_learner import (
    ALLOWED,
    CLOCK,
    REFERENCE,
    ActorCriticModule,
    HeldPPOTorchLearner,
    floats,
    minibatches,
)
from algorithms.ppo_update import explained_variance, generalized_advantages, standardized
from algorithms.rollouts import Rollouts, rollout
from algorithms.steps_learner import read_weights, write_weights
from algorithms.tabular_data import training_discount
from algorithms.warm_start import cloned_network
from envs.adam import one_thread

ENVIRONMENTS = {
    "nearest_neighbour": "envs.offline:retrainer/NearestNeighbourMDP-v0",
    "learned_model": "envs.offline:retrainer/LearnedModel-v0",
}
"""Where an agent may be let loose, by Gymnasium's names; a vector form is needed."""
CLONES = ("log", "champion")
LONGEST_WHOLE = 50
"""Horizon up to which whole episodes are played; errors of a model add up over longer ones (Janner et al. 2019)."""
BRANCH = 16
"""Decisions of a branch where episodes are longer and nothing is said."""


class PPOConfig(LearnerConfig, RLlibPPOConfig):
    """Configuration of :class:`PPO`; the loss is that of :mod:`algorithms.ppo_update`.

    Up to a horizon of 50 whole episodes are played from logged first rows, and the return is the declared one:
    nothing follows the horizon, and there is no discount below the declared. Beyond it short branches start in
    any logged row, and the value function stands for the rest (Janner et al. 2019).

    Attributes:
        environment_kind: a name in :data:`ENVIRONMENTS`; set as ``environment`` (RLlib keeps that attribute's name).
        neighbours: K of ``nearest_neighbour``.
        cost: the model's pessimism: what its uncertainty takes off the reward, in units of the usual reward. Rarely
            logged actions are uncertain everywhere, so that a high cost forbids what the exploration is there to
            find; ``kl_weight`` holds the policy near the log without that.
        environments: episodes played side by side, n.
        rollouts_per_iteration: batches of episodes of one ``train()``, each followed by its epochs.
        rollout_length: decisions of a branch; the horizon or more plays whole episodes. ``None``: whole episodes up
            to a horizon of 50, else 16.
        kl_weight: β, what a nat of KL(π ‖ clone) costs in standard deviations of the advantage.
        clone_of: ``log`` clones the policy that wrote the log; ``champion`` the policy that is to be improved (else
            the agent's bare rule) with its exploration floor, as far as the log knows it.
        clone_updates: Adam steps of that cloning.
        discount: γ; ``None``: the declared one for whole episodes, :func:`training_discount` for branches.
        hidden: sizes of the hidden layers of the actor, and of the critic.
        learning_rate: of both (RLlib's ``lr``).
        num_epochs: passes over each batch of episodes (RLlib's, as all that follow).
        minibatch_size: decisions of a step.
        clip_param: ε of the surrogate.
        lambda_: λ of the advantages.
        entropy_coeff: what a nat of entropy is worth.
        vf_loss_coeff: weight of the value function's loss, which is in units of the return's spread in the log.
        temperature: of the exported policy: 1 as trained, 0 its modal action.
    """

    def __init__(self, algo_class: Any = None) -> None:
        super().__init__(algo_class or PPO)
        self.environment_kind: str = "nearest_neighbour"
        self.neighbours: int = 5
        self.cost: float = 0.0
        self.environments: int = 512
        self.rollouts_per_iteration: int = 4
        self.rollout_length: int | None = None
        self.kl_weight: float = 0.05
        self.clone_of: str = "log"
        self.clone_updates: int = 1000
        self.discount: float | None = None
        self.temperature: float = 1.0
        self.hidden = (64,)
        self.learning_rate = 0.003
        self.num_epochs = 4
        self.minibatch_size: Any = 512
        self.clip_param = 0.2
        self.lambda_ = 0.95
        self.entropy_coeff = 0.0
        self.vf_loss_coeff = 0.5
        self.vf_clip_param = float("inf")
        self.use_kl_loss = False
        self.train_batch_size = 2**31  # RLlib compares the minibatch with it; ours is what the rollouts give

    def training(  # type: ignore[override]
        self,
        *,
        environment: str = NOT_PROVIDED,
        neighbours: int = NOT_PROVIDED,
        cost: float = NOT_PROVIDED,
        environments: int = NOT_PROVIDED,
        rollouts_per_iteration: int = NOT_PROVIDED,
        rollout_length: int | None = NOT_PROVIDED,
        kl_weight: float = NOT_PROVIDED,
        clone_of: str = NOT_PROVIDED,
        clone_updates: int = NOT_PROVIDED,
        discount: float | None = NOT_PROVIDED,
        hidden: Sequence[int] = NOT_PROVIDED,
        learning_rate: float = NOT_PROVIDED,
        num_epochs: int = NOT_PROVIDED,
        minibatch_size: int = NOT_PROVIDED,
        clip_param: float = NOT_PROVIDED,
        lambda_: float = NOT_PROVIDED,
        entropy_coeff: float = NOT_PROVIDED,
        vf_loss_coeff: float = NOT_PROVIDED,
        temperature: float = NOT_PROVIDED,
        **kwargs: Any,
    ) -> PPOConfig:
        """Set hyperparameters; see the attributes."""
        own = {name: value for name, value in locals().items() if name in self.own_settings()}
        super().training(**kwargs)
        for name, value in given(**own).items():
            attribute = "environment_kind" if name == "environment" else name
            setattr(self, attribute, tuple(value) if name == "hidden" else value)
        return self

    def setting(self, name: str) -> Any:
        """The value of one of :meth:`own_settings`."""
        return self.environment_kind if name == "environment" else super().setting(name)

    def get_default_learner_class(self) -> Any:
        """RLlib's PPO learner with masks and the clone."""
        return HeldPPOTorchLearner

    def get_default_rl_module_spec(self) -> Any:
        """Actor and critic apart."""
        from ray.rllib.core.rl_module.rl_module import RLModuleSpec

        return RLModuleSpec(module_class=ActorCriticModule)

    def validate(self) -> None:
        """Check the configuration.

        Raises:
            SpecificationError: a setting out of its range; names it.
        """
        super().validate()
        kind = self.environment_kind
        self.require(self.clone_of in CLONES, f"clone_of is {self.clone_of!r}", f"use one of {', '.join(CLONES)}")
        self.require(kind in ENVIRONMENTS, f"environment is {kind!r}", f"use one of {', '.join(ENVIRONMENTS)}")
        for name in (
            "neighbours",
            "environments",
            "rollouts_per_iteration",
            "clone_updates",
            "num_epochs",
            "minibatch_size",
        ):
            self.require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}", "give 1 or more")
        length = self.rollout_length
        self.require(length is None or length >= 1, f"rollout_length is {length}", "give 1 or more")
        for name in ("cost", "kl_weight", "entropy_coeff", "vf_loss_coeff", "temperature"):
            self.require(getattr(self, name) >= 0.0, f"{name} is {getattr(self, name)}", "give 0 or more")
        for name in ("discount", "lambda_"):
            value = getattr(self, name)
            self.require(value is None or 0.0 <= value <= 1.0, f"{name} is {value}", "give a number in [0, 1]")
        self.require(0.0 < self.clip_param < 1.0, f"clip_param is {self.clip_param}", "give a number in (0, 1)")


class PPO(LearnerAlgorithm):
    """Learns in a model of the log; see :class:`PPOConfig`.

    Metrics, means over an iteration: ``model_return`` (mean return of the episodes in the model, each batch before
    its updates; optimistic, for monitoring only; of branches, what is played and the value of where they end);
    ``loss`` and its parts ``policy_loss``, ``value_loss``, ``entropy``, ``kl`` (from the policy that played),
    ``clone_kl`` (KL(π ‖ clone)), ``clipped_share`` (of rows outside the clip); ``explained_variance`` of the value
    function; and ``updates`` (optimizer steps so far).
    """

    progress_metric = "value_loss"
    curve_metric = "model_return"
    config: PPOConfig

    @classmethod
    def get_default_config(cls) -> PPOConfig:
        """The configuration class's defaults."""
        return PPOConfig(cls)

    def prepare(self) -> None:
        """Horizon and discount, the environment, and the scale of the return."""
        config, specification = self.config, self.data.specification
        longest = config.rollout_length or (specification.horizon if specification.horizon <= LONGEST_WHOLE else BRANCH)
        self.whole = longest >= specification.horizon
        self.length = min(longest, specification.horizon)
        whole_discount = specification.discount if config.discount is None else config.discount
        self.discount = whole_discount if self.whole else training_discount(specification, config.discount)
        near = config.environment_kind == "nearest_neighbour"
        options = {"neighbours": config.neighbours} if near else {"seed": config.seed or 0}
        self.environment = gymnasium.make_vec(
            ENVIRONMENTS[config.environment_kind],
            num_envs=config.environments,
            vectorization_mode="vector_entry_point",
            dataset=self.data,
            horizon=self.length,
            cost=config.cost,
            **options,
        )
        self.centre, self.spread = self._return_scale()

    def build(self) -> None:
        """Clone the policy to be held to, and begin the actor there."""
        super().build()
        config = self.config
        self.clone: Weights = cloned_network(
            self.data,
            self.encoder,
            self.random,
            hidden=config.hidden,
            activation=config.activation,
            updates=config.clone_updates,
            champion=config.champion,
            of_log=config.clone_of == "log",
        )
        write_weights(self.clone, self.module.actor)

    def _return_scale(self) -> tuple[float, float]:
        """Mean and standard deviation of the logged returns from each decision on: the value function's units."""
        data = self.data
        ends = (data.terminated | data.truncated)[:, None].copy()
        ends[data.offsets[1:] - 1] = True
        returns = generalized_advantages(
            data.rewards[:, None], np.zeros((len(data) + 1, 1)), ends, ends, self.discount, 1.0
        )
        return float(returns.mean()), float(returns.std()) or 1.0

    def learn(self) -> dict[str, float]:
        """Play batches of episodes, and take the epochs over each."""
        rounds = [self._round() for _ in range(self.config.rollouts_per_iteration)]
        means = {name: float(np.mean([figures[name] for figures in rounds])) for name in rounds[0]}
        return means | {"updates": float(self.learner.steps)}

    def _round(self) -> dict[str, float]:
        acting = Network(self.encoder, read_weights(self.module.actor), self.config.activation)
        played = rollout(
            self.environment,
            lambda rows, allowed: acting(rows, None, allowed),
            self.random,
            self.length,
            starts="first" if self.whole else "any",
        )
        inputs = self.inputs(played.rows.reshape(-1, played.rows.shape[-1]))
        clock = floats(played.clock.reshape(-1, 1) / self.length * self.whole)
        values = self._values(inputs, clock).reshape(played.clock.shape)
        terminated = played.terminated | (played.truncated & self.whole)
        advantages = generalized_advantages(
            played.rewards, values, terminated, played.ended, self.discount, self.config.lambda_
        )
        kept = np.flatnonzero(played.kept)
        targets = (advantages + values[:-1]).reshape(-1)[kept]
        columns = self._columns(played, kept, inputs, clock)
        columns[Postprocessing.ADVANTAGES] = floats(standardized(advantages.reshape(-1)[kept]))
        columns[Postprocessing.VALUE_TARGETS] = floats((targets - self.centre) / self.spread)
        config = self.config
        figures = self.take_steps(minibatches(columns, config.minibatch_size, config.num_epochs, self.random))
        return figures | {
            "model_return": float(played.returns(self.discount, None if self.whole else values).mean()),
            "explained_variance": explained_variance(targets, values[:-1].reshape(-1)[kept]),
        }

    def _values(self, inputs: torch.Tensor, clock: torch.Tensor) -> np.ndarray:
        """The value function in units of the reward, float64 (N,)."""
        with one_thread(), torch.no_grad():
            values = self.module.compute_values({Columns.OBS: inputs, CLOCK: clock})
        return np.asarray(self.centre + self.spread * values.double().numpy())

    def _columns(self, played: Rollouts, kept: np.ndarray, inputs: torch.Tensor, clock: torch.Tensor) -> dict[str, Any]:
        """The kept decisions by RLlib's names."""
        allowed = played.allowed.reshape(-1, played.allowed.shape[-1])[kept]
        chosen = inputs[: played.kept.size][kept]
        with np.errstate(divide="ignore"):
            reference = np.log(network_probabilities(self.clone, chosen.numpy(), allowed, 1.0, self.config.activation))
        return {
            Columns.OBS: chosen,
            CLOCK: clock[: played.kept.size][kept],
            ALLOWED: torch.from_numpy(allowed),
            REFERENCE: floats(np.maximum(reference, -1e9)),
            Columns.ACTIONS: torch.from_numpy(played.actions.reshape(-1)[kept]),
            Columns.ACTION_LOGP: floats(np.log(played.probabilities.reshape(-1)[kept])),
        }

    def model_state(self) -> dict[str, Any]:
        """Encoder, learner and the clone's weights."""
        return super().model_state() | {"clone": self.clone}

    def set_model_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`model_state` gave."""
        super().set_model_state(state)
        self.clone = tuple((weight, bias) for weight, bias in state["clone"])

    def export_component(self) -> Component:
        """The actor."""
        return Network(self.encoder, self._actor(), self.config.activation, float(self.config.temperature))

    def probabilities(
        self, rows: np.ndarray, *, allowed: np.ndarray | None = None, base: np.ndarray | None = None
    ) -> np.ndarray:
        """Probabilities (N, A) of the actor at the configured temperature; it stands on no base."""
        mask = None if allowed is None else np.asarray(allowed, dtype=bool)
        features = self.encoder.features(rows)
        return network_probabilities(self._actor(), features, mask, self.config.temperature, self.config.activation)

    def _actor(self) -> Weights:
        return without_never_logged(read_weights(self.module.actor), self.data)
