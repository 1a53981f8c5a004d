"""A batch size and a number of epochs reach the algorithms that have them, in the steps that they take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ai_engine.workspace import open_workspace
from algorithms.registry import ALGORITHMS, configuration, configuration_class
from envs.columns import save_columns
from envs.errors import SpecificationError
from envs.home import Home
from tests import homes
from tune_configs.minibatches import DEFAULT_BATCH_SIZES, Minibatches
from tune_configs.training import train_component
from tune_configs.variant import VariantSpecification


def applied(algorithm: str, minibatches: Minibatches, **hyperparameters: Any) -> dict[str, Any]:
    return dict(minibatches.applied(VariantSpecification(algorithm, hyperparameters), rows=1800).hyperparameters)


def test_what_each_algorithm_is_told() -> None:
    both = Minibatches(batch_size=32, epochs=10)
    # 10 epochs of 1,800 rows in batches of 32: 562.5 updates, in 12 iterations of 46.9.
    expected = {"batch_size": 32, "updates_per_iteration": 47}
    assert applied("behavior_cloning", both) == applied("dqn", both) == expected
    assert applied("behavior_cloning", both, batch_size=64, hidden=(8,)) == {**expected, "hidden": (8,)}
    assert applied("ppo", both) == {"minibatch_size": 32, "num_epochs": 10}
    assert applied("tabular_q", both, anchored=True) == {"anchored": True}
    assert applied("behavior_cloning", both, model="table") == {"model": "table"}
    assert applied("dqn", Minibatches(batch_size=32)) == {"batch_size": 32}
    assert applied("dqn", Minibatches(epochs=10)) == {"updates_per_iteration": 6}  # 18,000 of 12 times 256
    assert applied("dqn", Minibatches(epochs=10), batch_size=100) == {"batch_size": 100, "updates_per_iteration": 15}
    assert applied("dqn", Minibatches()) == {}


@pytest.mark.parametrize("algorithm", sorted(set(DEFAULT_BATCH_SIZES) & set(ALGORITHMS)))
def test_the_defaults_are_the_algorithms_own(algorithm: str) -> None:
    assert configuration_class(algorithm)().setting("batch_size") == DEFAULT_BATCH_SIZES[algorithm]


@pytest.mark.parametrize("algorithm", sorted({"behavior_cloning", "dqn", "ppo"} & set(ALGORITHMS)))
def test_the_algorithms_have_these_settings(algorithm: str) -> None:
    configured = configuration(algorithm, applied(algorithm, Minibatches(7, 3)))
    assert configured.setting("minibatch_size" if algorithm == "ppo" else "batch_size") == 7


def test_cloning_takes_so_many_updates(home: Home, tmp_path: Path) -> None:
    dataset = open_workspace(homes.AGENT, home).dataset.split("train")
    columns = save_columns(dataset, tmp_path / "dataset")
    variant = Minibatches(batch_size=100, epochs=4).applied(
        VariantSpecification("behavior_cloning", {"model": "network", "hidden": ()}), len(dataset)
    )
    updates = train_component(columns, None, variant).statistics["updates"]
    assert 4 * len(dataset) / 100 <= updates < 4 * len(dataset) / 100 + 12


@pytest.mark.parametrize("bad", [{"batch_size": 0}, {"epochs": -1}, {"epochs": True}, {"batch_size": 1.5}])
def test_a_wrong_one_is_named(bad: dict[str, Any]) -> None:
    with pytest.raises(SpecificationError, match=next(iter(bad))):
        Minibatches(**bad)
