"""RLlib algorithms without environment, network and learner group: they learn from a dataset in ``training_step``.

``train()``, ``save_to_path``, ``from_checkpoint`` and ``tune.Tuner`` (with ``reuse_actors``) work as for any
RLlib algorithm. No Ray cluster is needed to build and train one in this process.
"""

from __future__ import annotations

import inspect
import json
import logging
import math
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.utils.checkpoints import Checkpointable
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger
from ray.tune import PlacementGroupFactory

from algorithms.policy.components import COMPONENTS, Component
from algorithms.policy.mixing import restrict
from envs.dataset import SPLIT_NAMES, Dataset
from envs.errors import ArtefactError, DataError, SpecificationError
from envs.opening import open_dataset

# RLlib warns about its own migration at every configuration.
logging.getLogger("ray.rllib").setLevel(logging.ERROR)
NOT_PROVIDED: Any = NotProvided
# What RLlib itself adds to a configuration on its way through Tune and checkpoints.
_PASSING = {"class", "callbacks"}


def given(**settings: Any) -> dict[str, Any]:
    """The settings that were provided."""
    return {name: value for name, value in settings.items() if value is not NOT_PROVIDED}


class NetFreeConfig(AlgorithmConfig):
    """Configuration of an algorithm that learns from a dataset.

    Attributes:
        dataset: the directory of a dataset (:mod:`envs.columns`), or the dataset itself. Under Tune give the
            directory: a configuration is copied into every trial.
        splits: names of the splits that are learned from.
        champion: artefact file of the policy that is to be improved; ``None`` means the agent's bare rule.
        seed: of everything random.
    """

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class)
        self._is_online = False
        self.num_env_runners = 0
        self.num_learners = 0
        self.create_local_env_runner = False
        self.min_sample_timesteps_per_iteration = 0
        self.min_train_timesteps_per_iteration = 0
        self.log_level = "ERROR"
        self.log_sys_usage = False
        self.seed: Any = 0
        self.dataset: Dataset | str | Path | None = None
        self.splits: tuple[str, ...] = ("train",)
        self.champion: str | Path | None = None

    def offline(
        self,
        *,
        dataset: Dataset | str | Path = NOT_PROVIDED,
        splits: tuple[str, ...] = NOT_PROVIDED,
        champion: str | Path | None = NOT_PROVIDED,
    ) -> NetFreeConfig:
        """Set what is learned from; see the attributes."""
        for name, value in given(dataset=dataset, splits=splits, champion=champion).items():
            setattr(self, name, value)
        return self

    def get_default_rl_module_spec(self) -> Any:
        """None: there is no module."""
        return None

    def get_default_learner_class(self) -> Any:
        """None: there is no learner."""
        return None

    def validate(self) -> None:
        """Check the configuration.

        Raises:
            DataError: no dataset, or a split that does not exist.
            SpecificationError: a setting that this algorithm does not have; names it.
        """
        super().validate()
        where = type(self).__name__
        unknown = sorted(set(vars(self)) - set(vars(type(self)())) - _PASSING)
        unknown = [name for name in unknown if not name.startswith("_")]
        if unknown:
            raise SpecificationError(f"{unknown[0]!r} is not a setting", where=where, remedy="see its attributes")
        if self.dataset is None:
            raise DataError("no dataset is given", where=where, remedy="call .offline(dataset=DIRECTORY)")
        wrong = sorted(set(self.splits) - set(SPLIT_NAMES))
        if wrong or not self.splits:
            raise DataError(f"{wrong or 'nothing'} names no split", where=where, remedy="use train, select or final")

    @classmethod
    def own_settings(cls) -> tuple[str, ...]:
        """Names of the hyperparameters that are this algorithm's own, in the order of its ``training`` method."""
        names = inspect.signature(cls.training).parameters
        return tuple(name for name in names if name not in ("self", "kwargs"))

    def setting(self, name: str) -> Any:
        """The value of one of :meth:`own_settings`."""
        return getattr(self, name)

    def require(self, condition: bool, problem: str, remedy: str) -> None:
        """Raise a :class:`SpecificationError` of this configuration unless the condition holds."""
        if not condition:
            raise SpecificationError(problem, where=type(self).__name__, remedy=remedy)


class NetFreeAlgorithm(Algorithm):
    """An RLlib algorithm whose whole state is what :meth:`model_state` gives.

    Subclasses define :meth:`build`, :meth:`learn`, :meth:`model_state`, :meth:`set_model_state`,
    :meth:`export_component` and :meth:`probabilities`.

    Attributes:
        data: the episodes of the chosen splits.
        random: the source of everything random; part of the state.
        figures: metrics of the last iteration.
        progress_metric: the metric that training makes small.
        curve_metric: the metric that a learning curve shows; the progress metric where empty.
    """

    progress_metric = "loss"
    curve_metric = ""
    figures: dict[str, float]
    config: NetFreeConfig
    metrics: MetricsLogger
    data: Dataset
    random: np.random.Generator

    def __repr__(self) -> str:
        return type(self).__name__

    def build(self) -> None:
        """Make the untrained model from :attr:`data` and the configuration."""
        raise NotImplementedError

    def learn(self) -> dict[str, float]:
        """One iteration; returns its metrics."""
        raise NotImplementedError

    def model_state(self) -> dict[str, Any]:
        """The model: arrays and plain values."""
        raise NotImplementedError

    def set_model_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`model_state` gave."""
        raise NotImplementedError

    def export_component(self) -> Component:
        """The layer of a policy artefact that this run has learned."""
        raise NotImplementedError

    def probabilities(
        self, rows: np.ndarray, *, allowed: np.ndarray | None = None, base: np.ndarray | None = None
    ) -> np.ndarray:
        """Probabilities (N, A) of the learned layer on raw rows (N, D), without floor.

        Computed by the algorithm's own path, to be compared with the artefact's. ``allowed`` is bool (N, A), all
        by default; ``base`` (N, A) is what is improved, needed where the layer is relative.
        """
        raise NotImplementedError

    def hyperparameters(self) -> dict[str, Any]:
        """The algorithm's own settings as resolved, defaults included, and the seed; plain JSON values."""
        settings = {name: self.config.setting(name) for name in self.config.own_settings()} | {"seed": self.config.seed}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}

    def check_parity(self, rows: int = 1000, tolerance: float = 1e-9) -> None:
        """Compare the exported layer, written and read again, with :meth:`probabilities` on rows of the log.

        Raises:
            ArtefactError: they differ by more than the tolerance.
        """
        component = self.export_component()
        component = COMPONENTS[component.kind](json.loads(json.dumps(component.to_json())))
        chosen = np.linspace(0, len(self.data) - 1, min(rows, len(self.data))).astype(np.int64)
        chosen = self.data.rows[chosen]
        observations, allowed = self.data.observations[chosen], self.data.allowed[chosen]
        actions = len(self.data.specification.actions)
        base = np.random.default_rng(0).dirichlet(np.ones(actions), size=len(chosen))
        base = restrict(base, allowed)
        exported = restrict(component(observations, base, allowed), allowed)
        own = self.probabilities(observations, allowed=allowed, base=base)
        difference = float(np.abs(exported - own).max())
        if not difference <= tolerance:
            raise ArtefactError(
                f"the artefact differs from the trained policy by {difference:.3g}",
                where=type(self).__name__,
                remedy="report this as a defect; nothing was written",
            )

    def setup(self, config: Any) -> None:
        """Build from the dataset instead of environments and learners."""
        classes = self.config.callbacks_class
        self.callbacks = [each() for each in (classes if isinstance(classes, list) else [classes])]
        nothing: Any = None
        self.env_runner_group = self.eval_env_runner_group = self.learner_group = self.offline_data = nothing
        self.offline_eval_runner_group = self._aggregator_actor_manager = nothing
        self.evaluation_config = self.config
        self._set_up_metrics()
        self._begin()

    def _begin(self) -> None:
        self.data = open_dataset(self.config.dataset, tuple(self.config.splits))
        self.random = np.random.default_rng(self.config.seed or 0)
        self.build()

    def training_step(self) -> None:
        """One iteration of :meth:`learn`; its metrics are checked to be finite numbers."""
        self.figures = {name: float(value) for name, value in self.learn().items()}
        for name, number in self.figures.items():
            if not math.isfinite(number):
                raise DataError(f"{name} became {number}", where=type(self).__name__, remedy="lower the learning rate")
            self.metrics.log_value(name, number, reduce="mean", window=1)

    def step(self) -> dict[str, Any]:
        """RLlib's results, with numpy's numbers as plain ones (which JSON and Tune's best trial need)."""
        results = super().step()
        return {name: value.item() if isinstance(value, np.generic) else value for name, value in results.items()}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become the algorithm of another configuration (Tune's ``reuse_actors``)."""
        config: Any = self.get_default_config().update_from_dict(new_config)
        config.algo_class = type(self)
        config.validate()
        config.freeze()
        self.config = self.evaluation_config = config
        lookup: Any = config.stats_cls_lookup
        self.metrics = MetricsLogger(root=True, stats_cls_lookup=lookup)
        self._begin()
        return True

    def get_state(self, components: Any = None, *, not_components: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "dataset": self.data.identifier,
            "model": self.model_state(),
            "random": self.random.bit_generator.state,
            "metrics_logger": self.metrics.get_state(),
            "training_iteration": self.training_iteration,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`get_state` was.

        Raises:
            DataError: the state was learned from another dataset.
        """
        if state["dataset"] != self.data.identifier:
            raise DataError(
                f"the checkpoint was learned from dataset {state['dataset']}, this is {self.data.identifier}",
                where=type(self).__name__,
                remedy="restore with the dataset it names",
            )
        self.set_model_state(state["model"])
        self.random.bit_generator.state = state["random"]
        self.metrics.set_state(state["metrics_logger"])
        self._iteration = state["training_iteration"]

    def restore_from_path(self, path: Any, *args: Any, **kwargs: Any) -> None:
        """Restore without synchronising environment runners, of which there are none."""
        Checkpointable.restore_from_path(self, path, *args, **kwargs)

    def restore_env_runners(self, env_runner_group: Any) -> list[int]:
        """Nothing to restore."""
        return []

    def get_checkpointable_components(self) -> list[tuple[str, Checkpointable]]:
        """None: the state is in one piece."""
        return []

    @classmethod
    def default_resource_request(cls, config: Any) -> PlacementGroupFactory:
        """One CPU."""
        return PlacementGroupFactory([{"CPU": 1}])

    def _setup_logdir(self) -> None:
        """Outside Tune: a temporary directory that goes with the object, instead of one in the user's home."""
        if self._storage:
            super()._setup_logdir()
            return
        scratch = tempfile.mkdtemp(prefix="retrainer-")
        weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)
        self._logdir: Any = scratch
