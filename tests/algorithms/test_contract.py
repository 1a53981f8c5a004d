"""One contract for all registered algorithms alike (a new algorithm adds its cases to ``CASES`` and nothing else)."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms.net_free import NetFreeAlgorithm, NetFreeConfig
from algorithms.policy import Policy
from algorithms.policy.parts import BaseReference, Layer
from algorithms.registry import ALGORITHMS, configuration, configuration_class, discretizers, fits
from envs.columns import save_columns
from envs.dataset import Dataset
from envs.errors import ArtefactError, DataError, SpecificationError
from tests.worlds import chain, deterministic, explored

CASES: list[tuple[str, dict[str, Any]]] = [
    ("tabular_q", {"discretizer": "grid", "fields": ("position",), "resolution": 5}),
    ("tabular_q", {"anchored": False, "discretizer": "kmeans", "resolution": 4, "pessimism": 0.5}),
    ("tabular_q", {"double": True, "minimum_count": 3}),
    ("behavior_cloning", {"model": "table", "resolution": 3, "temperature": 0.5}),
    ("behavior_cloning", {"model": "network", "hidden": (), "temperature": 0.0}),
    ("behavior_cloning", {"model": "network", "hidden": (8, 8), "weight_decay": 0.1}),
    ("dqn", {"margin": 0.2, "n_step": 3}),
    ("dqn", {"prioritized": True, "importance_updates": 30, "conservative_weight": 0.1}),
    ("dqn", {"anchored": False, "temperature": 0.5, "activation": "relu"}),
    ("dqn", {"anchored": False, "double": False, "dueling": False, "hidden": (8, 8)}),
    ("ppo", {"kl_weight": 0.5, "entropy_coeff": 0.01}),
    ("ppo", {"rollout_length": 3, "temperature": 0.0, "hidden": (8, 8)}),
    ("evolution", {"policy": "linear", "temperature": 0.5}),
    ("evolution", {"policy": "linear", "strategy": "cma", "population": 7, "subspace": 4, "fields": ("position",)}),
    ("evolution", {"strategy": "cma", "cost": 0.1}),
]
SMALL: dict[str, dict[str, Any]] = {
    "tabular_q": {"sweeps_per_iteration": 2},
    "behavior_cloning": {"updates_per_iteration": 10, "batch_size": 64},
    "dqn": {"updates_per_iteration": 10, "batch_size": 64, "hidden": (16,), "target_period": 15},
    "ppo": {"environments": 16, "minibatch_size": 64, "rollouts_per_iteration": 1, "clone_updates": 20},
    "evolution": {
        "environment": "nearest_neighbour",
        "generations_per_iteration": 2,
        "population": 8,
        "episodes": 32,
    },
}
WORLD = chain(vector=True, slip=0.2, noise=0.2)
ROOT = deterministic([0, 0, 1, 0, 0], 2)


def log_with_masks() -> Dataset:
    """A noisy chain by a poor rule with exploration; going left is forbidden at random."""
    dataset = WORLD.log(explored(ROOT, 0.4), 240, seed=1, root=ROOT)
    allowed = dataset.allowed.copy()
    allowed[:, 0] = np.random.default_rng(0).random(len(allowed)) < 0.9
    allowed[dataset.rows, dataset.actions] = True
    return replace(dataset, allowed=allowed)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_columns(log_with_masks(), tmp_path_factory.mktemp("contract") / "dataset"))


def config_of(case: tuple[str, dict[str, Any]], directory: str, seed: int = 3) -> NetFreeConfig:
    name, hyperparameters = case
    return configuration(name, SMALL[name] | hyperparameters, seed=seed).offline(dataset=directory)


def train(algorithm: NetFreeAlgorithm, times: int) -> list[dict[str, float]]:
    """The algorithm's own metrics of each iteration."""
    results = [algorithm.train() for _ in range(times)]
    return [
        {name: value for name, value in result.items() if type(value) is float and not name.startswith("time")}
        for result in results
    ]


def equal(first: Any, second: Any) -> bool:
    """Bit-identical nested states."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(equal, first, second))
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
    return bool(first == second)


def state_of(algorithm: NetFreeAlgorithm) -> dict[str, Any]:
    state = algorithm.get_state()
    return {name: state[name] for name in ("model", "random", "training_iteration", "dataset")}


def test_every_registered_algorithm_is_under_contract() -> None:
    assert {name for name, _ in CASES} == set(ALGORITHMS) == set(SMALL)
    assert fits(WORLD.specification()) == tuple(ALGORITHMS)
    assert fits(WORLD.specification(actions=("only",))) == ()
    assert discretizers(chain().specification()) == ("integer",)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_trains_with_finite_plain_metrics_that_improve(case, directory: str) -> None:
    algorithm = config_of(case, directory).build_algo()
    figures = train(algorithm, 8)
    assert all(math.isfinite(value) for row in figures for value in row.values())
    metric = algorithm.progress_metric
    first = max(figures[0][metric], figures[0].get(f"initial_{metric}", -math.inf))
    assert figures[-1][metric] < first
    assert algorithm.training_iteration == 8


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_action_that_was_never_logged_is_never_taken(case) -> None:
    dataset = log_with_masks()

    def wider(array: np.ndarray, value: float) -> np.ndarray:
        return np.column_stack([array, np.full(len(array), value, array.dtype)])

    dataset = replace(
        dataset,
        specification=replace(dataset.specification, actions=(*dataset.specification.actions, "never")),
        allowed=wider(dataset.allowed, True),
        action_probabilities=wider(dataset.action_probabilities, 0.0),
        root_probabilities=wider(dataset.root_probabilities, 0.0),
    )
    name, hyperparameters = case
    algorithm = configuration(name, SMALL[name] | hyperparameters, seed=3).offline(dataset=dataset).build_algo()
    train(algorithm, 2)
    rows = np.random.default_rng(0).uniform(-2.0, 8.0, size=(200, dataset.observations.shape[1]))
    base = np.tile([0.5, 0.5, 0.0], (len(rows), 1))
    assert algorithm.probabilities(rows, base=base)[:, 2].max() == 0.0
    component = algorithm.export_component()
    exported = component(rows, base)
    assert exported[:, 2].max() == 0.0
    # Where nothing else is allowed, it is what remains.
    alone = np.tile([False, False, True], (len(rows), 1))
    assert np.allclose(component(rows, np.tile([0.0, 0.0, 1.0], (len(rows), 1)), alone)[:, 2], 1.0)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_checkpoint_gives_the_bit_identical_next_step(case, directory: str, tmp_path: Path) -> None:
    algorithm = config_of(case, directory).build_algo()
    train(algorithm, 2)
    path = algorithm.save_to_path(str(tmp_path / "checkpoint"))
    copy = type(algorithm).from_checkpoint(path)
    assert equal(state_of(copy), state_of(algorithm))
    assert train(copy, 1) == train(algorithm, 1)
    assert equal(state_of(copy), state_of(algorithm))
    assert equal(copy.export_component().to_json(), algorithm.export_component().to_json())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_n_steps_restored_and_n_steps_are_two_n(case, directory: str, tmp_path: Path) -> None:
    whole = config_of(case, directory).build_algo()
    train(whole, 6)
    part = config_of(case, directory).build_algo()
    train(part, 3)
    path = part.save_to_path(str(tmp_path / "checkpoint"))
    resumed = config_of(case, directory).build_algo()
    resumed.restore_from_path(path)
    train(resumed, 3)
    assert equal(state_of(resumed), state_of(whole))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_same_seed_same_result(case, directory: str) -> None:
    states = []
    for seed in (3, 3, 4):
        algorithm = config_of(case, directory, seed).build_algo()
        train(algorithm, 3)
        states.append(algorithm.model_state())
    assert equal(states[0], states[1])
    if case[1].get("model") == "network" or case[0] in ("ppo", "dqn"):
        assert not equal(states[0], states[2])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_artefact_acts_as_the_algorithm(case, directory: str) -> None:
    algorithm = config_of(case, directory).build_algo()
    train(algorithm, 4)
    algorithm.check_parity()
    dataset, component = algorithm.data, algorithm.export_component()
    specification = dataset.specification
    policy = Policy(
        specification.name,
        "candidate",
        specification.observation,
        specification.actions,
        base=None if component.absolute else BaseReference("rule-1"),
        layers=(Layer(1.0, component),),
    )
    policy = Policy.from_bytes(policy.to_bytes())
    random = np.random.default_rng(5)
    index = dataset.rows[random.integers(len(dataset), size=1000)]
    rows, allowed, base = dataset.observations[index], dataset.allowed[index], dataset.root_probabilities[index]
    root = np.where(allowed, base, 0.0)
    root = np.where(root.sum(axis=1, keepdims=True) > 0, root, allowed / allowed.sum(axis=1, keepdims=True))
    root /= root.sum(axis=1, keepdims=True)
    own = algorithm.probabilities(rows, allowed=allowed, base=root)
    served = policy.probabilities(rows, allowed=allowed, base=base, floor=False)
    np.testing.assert_allclose(served, own, atol=1e-12)
    np.testing.assert_array_equal(served.argmax(axis=1), own.argmax(axis=1))
    assert (served[~allowed] == 0.0).all()
    np.testing.assert_allclose(served.sum(axis=1), 1.0)


def test_a_parity_mismatch_is_an_error(directory: str) -> None:
    algorithm = config_of(CASES[3], directory).build_algo()
    train(algorithm, 1)
    honest = algorithm.probabilities
    algorithm.probabilities = lambda rows, **masks: np.roll(honest(rows, **masks), 1, axis=1)  # type: ignore[method-assign]
    with pytest.raises(ArtefactError, match="differs from the trained policy"):
        algorithm.check_parity()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_configuration_round_trip(case, directory: str) -> None:
    config = config_of(case, directory)
    settings = {name: config.setting(name) for name in config.own_settings()}
    assert settings.items() >= (SMALL[case[0]] | case[1]).items()
    for copy in (
        type(config)().update_from_dict(config.to_dict()),
        type(config).from_state(config.get_state()),
        config.copy(),
        configuration(case[0], settings, seed=3).offline(dataset=directory),
    ):
        assert {name: copy.setting(name) for name in copy.own_settings()} == settings
        assert (copy.dataset, copy.splits, copy.champion, copy.seed) == (directory, ("train",), None, 3)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_only_the_named_splits_are_learned_from(name: str, directory: str) -> None:
    dataset = log_with_masks()
    algorithm = config_of((name, {}), directory).offline(splits=("train", "select")).build_algo()
    assert len(algorithm.data) == len(dataset.split("train", "select"))
    other = dataset.observations.copy()
    other[np.repeat(dataset.splits, dataset.lengths + 1) != 0] = 2.0
    states = []
    for source in (dataset, replace(dataset, observations=other)):
        algorithm = config_of((name, {}), directory).offline(dataset=source).build_algo()
        train(algorithm, 2)
        states.append(algorithm.model_state())
    assert equal(*states)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_mistakes_are_named(name: str, directory: str, tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match="'learning' is not a hyperparameter; known are"):
        configuration(name, {"learning": 1.0})
    with pytest.raises(SpecificationError, match="'learning' is not a setting"):
        configuration_class(name)().update_from_dict({"learning": 1.0, "dataset": directory}).build_algo()
    with pytest.raises(DataError, match="no dataset is given"):
        configuration(name).build_algo()
    with pytest.raises(DataError, match="names no split"):
        configuration(name).offline(dataset=directory, splits=("test",)).build_algo()
    counted = next(
        setting for setting in ("resolution", "neighbours", "n_step") if setting in configuration(name).own_settings()
    )
    with pytest.raises(SpecificationError, match=f"{counted} is 0; give 1 or more"):
        configuration(name, {counted: 0}).offline(dataset=directory).build_algo()
    with pytest.raises(SpecificationError, match="'sarsa' is no algorithm; use one of tabular_q"):
        configuration("sarsa")
    trained = config_of((name, {}), directory).build_algo()
    path = trained.save_to_path(str(tmp_path / "checkpoint"))
    other = config_of((name, {}), directory).offline(dataset=WORLD.log(explored(ROOT, 0.4), 60, root=ROOT))
    with pytest.raises(DataError, match="the checkpoint was learned from dataset"):
        other.build_algo().restore_from_path(path)


TUNED: dict[str, dict[str, list[Any]]] = {
    "tabular_q": {"pessimism": [0.0, 50.0]},
    "behavior_cloning": {"learning_rate": [0.001, 0.1]},
    "dqn": {"conservative_weight": [0.0, 1.0]},
    "ppo": {"kl_weight": [0.0, 10.0]},
    "evolution": {"sigma": [0.01, 3.0]},
}


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("name", ALGORITHMS)
def test_runs_under_tune_with_reused_actors(name: str, directory: str, tmp_path: Path) -> None:
    from ray import tune

    ((key, values),) = TUNED[name].items()
    space = config_of((name, {}), directory).to_dict() | {key: tune.grid_search(values)}
    results = tune.Tuner(
        configuration_class(name)().algo_class,
        param_space=space,
        tune_config=tune.TuneConfig(reuse_actors=True, max_concurrent_trials=1),
        run_config=tune.RunConfig(stop={"training_iteration": 3}, storage_path=str(tmp_path), verbose=0),
    ).fit()
    assert not results.errors
    assert len({result.metrics["pid"] for result in results}) == 1
    found = {result.metrics["config"][key]: result.metrics for result in results}
    metric = {
        "tabular_q": "model_value",
        "behavior_cloning": "loss",
        "dqn": "loss",
        "ppo": "clone_kl",
        "evolution": "mean_fitness",
    }[name]
    for value in values:
        alone = train(config_of((name, {key: value}), directory).build_algo(), 3)[-1]
        assert {figure: found[value][figure] for figure in alone} == alone
    assert len({found[value][metric] for value in values}) == len(values)
