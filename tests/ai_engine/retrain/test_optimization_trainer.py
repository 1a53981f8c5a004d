"""The optimization trainer: known optima inside and outside the data, refusals, and files that act and go on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ai_engine.deploy import load_policy
from ai_engine.retrain import OptimizationTrainer, QLearningTrainer
from ai_engine.retrain.optimization_data import Objective
from envs.errors import ArtefactError, DataError, RecordError, SpecificationError

OUTCOME_ALONE = Objective(outcome=1.0, cost=0.0, response_time=0.0)
ACTIONS = ("scale_up", "hold", "scale_down")
SLOPES = {"scale_up": 0.3, "hold": 0.0, "scale_down": -0.3}
EXAMPLE: dict[str, Any] = {
    "cpu_usage": 0.75,
    "memory_usage": 0.65,
    "cost": 100.0,
    "response_time": 0.5,
    "scaling_action": "scale_up",
    "resource_allocation": {"cpu": 0.8, "memory": 0.7},
    "outcome": "optimal",
}


def truth(cpu: float, memory: float, action: str, allocation: Mapping[str, float]) -> float:
    """What the outcome is worth: best where as much is allocated as is used, scaled towards the load."""
    short = (allocation["cpu"] - cpu) ** 2 + (allocation["memory"] - memory) ** 2
    return 0.8 - 0.8 * short + SLOPES[action] * (cpu - 0.5)


def trained(
    rows: int = 300, noise: float = 0.02, seed: int = 0, highest: float = 1.0, train: bool = True, **settings: Any
) -> OptimizationTrainer:
    """A trainer with random decisions at random loads, of which every third row is of each action."""
    method, iterations = settings.pop("method", "gradient"), settings.pop("iterations", 100)
    trainer = OptimizationTrainer(**{"objective": OUTCOME_ALONE, "resolution": 2, **settings})
    random = np.random.default_rng(seed)
    for index in range(rows):
        cpu, memory = random.uniform(0.2, 0.8, 2)
        allocation = {"cpu": random.uniform(0.1, highest), "memory": random.uniform(0.1, 1.0)}
        action = ACTIONS[index % 3]
        worth = float(np.clip(truth(cpu, memory, action, allocation) + noise * random.standard_normal(), 0.0, 1.0))
        cost = 100.0 * (allocation["cpu"] + allocation["memory"]) * random.uniform(0.9, 1.1)
        time = 0.2 + 0.5 * abs(allocation["cpu"] - cpu)
        trainer.add_performance_data(cpu, memory, cost, time, action, allocation, worth)
    if train:
        trainer.train(method, iterations)
    return trainer


def test_the_example_of_the_specification(tmp_path: Path) -> None:
    trainer = OptimizationTrainer(use_evolutionary=False)
    trainer.add_performance_data(**EXAMPLE)
    statistics = trainer.train(method="gradient", iterations=100)
    assert (statistics.rows, statistics.refused_contexts, statistics.supported_actions) == (1, 1, ())
    assert statistics.improvement == 0.0 and statistics.r2 is None and len(statistics.objective) == 101
    found = trainer.recommend()
    assert found.refused and found.reason == "no scaling action has 5 measured rows, this is the best of 1"
    assert found.scaling_action == "scale_up" and found.resource_allocation == {"cpu": 0.8, "memory": 0.7}
    assert found.objective is not None and found.cost is not None
    assert found.objective.value == pytest.approx(1.0 - 1.0 - 1.0) and found.cost.value == pytest.approx(100.0)
    assert found.objective.lower < -1.5 and found.objective.upper > -0.5 and found.cost.upper > 150.0
    policy = load_policy(trainer.save_model(tmp_path / "models" / "optimization_model.json"))
    assert policy.act({"cpu_usage": 0.75, "memory_usage": 0.65}).action == "scale_up"


@pytest.mark.parametrize("method", ["gradient", "evolutionary"])
def test_without_data(method: str, tmp_path: Path) -> None:
    trainer = OptimizationTrainer(use_evolutionary=True)
    with pytest.raises(DataError, match="OptimizationTrainer: has no performance data; call add_performance_data"):
        trainer.train(method=method, iterations=50)
    with pytest.raises(DataError, match="has no performance data"):
        trainer.recommend()
    trainer.add_performance_data(**EXAMPLE)
    for call in (trainer.recommend, lambda: trainer.save_model(tmp_path / "m.json")):
        with pytest.raises(DataError, match="is not trained; call train"):
            call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("method", "seed"), [("gradient", 0), ("gradient", 1), ("gradient", 2), ("evolutionary", 0)])
def test_an_optimum_inside_the_data_is_found_and_covered(method: str, seed: int) -> None:
    trainer = trained(seed=seed, method=method)
    for cpu, memory, action in ((0.7, 0.5, "scale_up"), (0.3, 0.4, "scale_down")):
        found = trainer.recommend(cpu, memory)
        assert not found.refused and found.scaling_action == action and found.objective is not None
        assert found.resource_allocation == pytest.approx({"cpu": cpu, "memory": memory}, abs=0.06)
        assert found.objective.lower <= truth(cpu, memory, action, found.resource_allocation) <= found.objective.upper


def test_both_methods_agree() -> None:
    gradient, evolution = trained(), trained(method="evolutionary")
    for load in ((0.3, 0.3), (0.5, 0.7), (0.75, 0.4)):
        first, second = gradient.recommend(*load), evolution.recommend(*load)
        assert first.scaling_action == second.scaling_action
        assert first.resource_allocation == pytest.approx(second.resource_allocation, abs=0.01)
    assert gradient.statistics and evolution.statistics
    assert gradient.statistics.loss == pytest.approx(evolution.statistics.loss, abs=1e-3)
    assert evolution.statistics.method == "evolutionary"


def test_an_optimum_outside_the_data_ends_at_their_boundary() -> None:
    trainer = trained(highest=0.4)  # nobody has ever allocated as much as a load of 0.75 needs
    for method in ("gradient", "evolutionary"):
        trainer.train(method, 100)
        found = trainer.recommend(0.75, 0.5)
        assert not found.refused
        assert 0.35 < found.resource_allocation["cpu"] <= max(record.allocation[0] for record in trainer.data.records)
        assert found.resource_allocation["memory"] == pytest.approx(0.5, abs=0.06)


def test_a_load_outside_the_data_is_refused() -> None:
    trainer = trained()
    for load in ((3.0, 0.5), (0.5, 0.0), (-1.0, 9.0)):
        found = trainer.recommend(*load)
        assert found.refused and found.scaling_action is None and found.resource_allocation == {}
        assert (found.objective, found.cost, found.response_time) == (None, None, None)
        assert "from the nearest measured one" in found.reason and found.distance > 1.0
        assert found.to_text().startswith("Nothing is recommended: the load is ")
    with pytest.raises(RecordError, match="memory_usage: is None; give both"):
        trainer.recommend(0.5)
    with pytest.raises(RecordError, match="cpu_usage: is nan"):
        trainer.recommend(float("nan"), 0.5)


def test_an_action_needs_enough_rows() -> None:
    trainer = trained()
    for cpu in (0.7, 0.71, 0.72, 0.73):
        trainer.add_performance_data(cpu, 0.5, 1.0, 0.1, "teleport", {"cpu": cpu, "memory": 0.5}, "optimal")
    trainer.train()
    assert trainer.statistics and trainer.statistics.supported_actions == ACTIONS
    assert trainer.recommend(0.71, 0.5).scaling_action == "scale_up"
    trainer.add_performance_data(0.72, 0.5, 1.0, 0.1, "teleport", {"cpu": 0.72, "memory": 0.5}, "optimal")
    assert trainer.recommend(0.71, 0.5).scaling_action == "teleport"
    elsewhere = trainer.recommend(0.3, 0.5)  # where it was never taken
    assert elsewhere.scaling_action == "scale_down"


def test_statistics_say_how_good_the_surface_is() -> None:
    statistics = trained(noise=0.05, resolution=4).statistics
    noise = trained(noise=5.0).statistics
    assert statistics and noise and statistics.r2 is not None and statistics.coverage is not None
    assert statistics.r2 > 0.85 and 0.9 < statistics.coverage < 1.0
    assert noise.r2 is not None and noise.r2 < 0.1 and noise.uncertainty > 4.0 * statistics.uncertainty
    assert (np.diff(statistics.objective) >= -1e-12).all() and statistics.objective[-1] > statistics.objective[0]
    assert statistics.loss == -statistics.objective[-1] and len(statistics.objective) == 101
    # E[(a − u)²] with a uniform in [0.1, 1] and u in [0.2, 0.8], twice, and the best action for |cpu − 0.5|.
    expected = 0.8 * 2 * (0.9**2 / 12 + 0.6**2 / 12 + 0.05**2) + 0.3 * 0.15
    assert statistics.improvement == pytest.approx(expected, abs=0.04)


def test_labels_matter() -> None:
    trainers = [OptimizationTrainer(objective=OUTCOME_ALONE) for _ in range(2)]
    random = np.random.default_rng(0)
    for _ in range(200):
        cpu = float(random.uniform(0.1, 1.0))
        labels = ("optimal", "failed") if cpu > 0.5 else ("failed", "optimal")
        for trainer, label in zip(trainers, labels, strict=True):
            trainer.add_performance_data(0.5, 0.5, 1.0, 0.1, "hold", {"cpu": cpu}, label)
    much, little = (trainer.train() and trainer.recommend().resource_allocation["cpu"] for trainer in trainers)
    assert much > 0.7 > 0.4 > little


def test_costs_and_response_times_matter() -> None:
    def amount(objective: Objective) -> float:
        trainer = OptimizationTrainer(objective=objective)
        random = np.random.default_rng(0)
        for _ in range(200):
            cpu = float(random.uniform(0.1, 1.0))
            noise = float(random.uniform(0.95, 1.05))
            trainer.add_performance_data(0.5, 0.5, 100 * cpu, noise / (0.2 + cpu), "hold", {"cpu": cpu}, "acceptable")
        trainer.train()
        found = trainer.recommend()
        assert found.cost is not None and found.cost.value == pytest.approx(
            100 * found.resource_allocation["cpu"], abs=1
        )
        return found.resource_allocation["cpu"]

    cheap, fast = amount(Objective(response_time=0.0)), amount(Objective(cost=0.0))
    both = amount(Objective())
    relaxed = amount(Objective(response_time_target=1.5))  # met with 0.47: no reason to pay for more
    assert cheap < 0.15 and fast > 0.8 and cheap < both < fast
    assert cheap < relaxed < fast


def test_units_do_not_matter() -> None:
    plain = trained(120, train=False, objective=Objective())
    other = OptimizationTrainer(objective=Objective(), resolution=2)
    for record in plain.data.records:
        other.add_performance_data(
            100.0 * record.cpu_usage,
            100.0 * record.memory_usage,
            0.01 * record.cost,
            1000.0 * record.response_time,
            record.scaling_action,
            {"cpu": 64.0 * record.allocation[0], "memory": 1024.0 * record.allocation[1]},
            record.outcome,
        )
    first, second = plain.train(), other.train()
    assert second.loss == pytest.approx(first.loss) and second.r2 == pytest.approx(first.r2)
    before, after = plain.recommend(0.6, 0.4), other.recommend(60.0, 40.0)
    assert before.scaling_action == after.scaling_action and before.cost and after.cost
    assert after.cost.upper == pytest.approx(0.01 * before.cost.upper)
    scaled = {"cpu": 64.0 * before.resource_allocation["cpu"], "memory": 1024.0 * before.resource_allocation["memory"]}
    assert after.resource_allocation == pytest.approx(scaled, rel=1e-4)


def test_the_policy_acts_by_load_and_draws_as_measured_outside(tmp_path: Path) -> None:
    trainer = trained(agent="optimizer", explore=0.3)
    policy = load_policy(trainer.save_model(tmp_path / "m.json"))
    assert policy.agent == "optimizer" and policy.actions == ACTIONS
    for cpu, action in ((0.75, "scale_up"), (0.25, "scale_down")):
        decision = policy.act({"cpu_usage": cpu, "memory_usage": 0.5})
        assert decision.probabilities[action] == pytest.approx(0.7 + 0.1)
        assert policy.act({"cpu_usage": cpu, "memory_usage": 0.5}, greedy=True).action == action
    outside = policy.act({"cpu_usage": 5.0, "memory_usage": 0.5}).probabilities
    assert outside == pytest.approx(dict.fromkeys(ACTIONS, 1 / 3))
    kept = policy.provenance.training
    assert kept["allocation"] == ["cpu", "memory"] and kept["statistics"]["rows"] == 300
    allocations = [each["resource_allocation"] for each in kept["recommendations"]]
    assert len(allocations) == kept["statistics"]["contexts"] and all(
        set(each) == {"cpu", "memory"} for each in allocations
    )


@pytest.mark.parametrize("method", ["gradient", "evolutionary"])
def test_training_goes_on_as_if_it_had_never_stopped(method: str, tmp_path: Path) -> None:
    whole = trained(
        60, objective=Objective(response_time_target=0.3), use_evolutionary=True, method=method, iterations=15
    )
    path = whole.save_model(tmp_path / "m.json")
    other = OptimizationTrainer().load_model(path)
    assert other.policy().to_bytes() == whole.policy().to_bytes() and other.statistics == whole.statistics
    assert other.recommend(0.5, 0.5) == whole.recommend(0.5, 0.5)
    for trainer in (whole, other):
        trainer.add_performance_data(**EXAMPLE | {"scaling_action": "new"})
        assert trainer.save_model(tmp_path / "pending.json").read_bytes()  # rows that no training has seen yet
    assert whole.train(iterations=10) == other.train(iterations=10)
    assert whole.statistics and whole.statistics.method == "evolutionary" and whole.statistics.rows == 61
    assert other.policy().to_bytes() == whole.policy().to_bytes()
    assert OptimizationTrainer().load_model(tmp_path / "pending.json").data.actions == (*ACTIONS, "new")


def test_the_same_data_are_the_same_model() -> None:
    first, second = (trained(30, method="evolutionary", iterations=10).policy().to_bytes() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("names", [(), ("cpu",)])
def test_allocations_of_any_size(names: tuple[str, ...]) -> None:
    trainer = OptimizationTrainer(objective=OUTCOME_ALONE)
    random = np.random.default_rng(0)
    for index in range(60):
        action, cpu = ACTIONS[index % 3], float(random.uniform(0.2, 0.8))
        amounts = {name: float(random.uniform(0.1, 1.0)) for name in names}
        worth = truth(cpu, 0.5, action, {"cpu": cpu, "memory": 0.5} | amounts)
        trainer.add_performance_data(cpu, 0.5, 1.0, 0.1, action, amounts, max(worth, 0.0))
    for method in ("gradient", "evolutionary"):
        trainer.train(method, 30)
        found = trainer.recommend(0.75, 0.5)
        assert found.scaling_action == "scale_up"
        assert found.resource_allocation == pytest.approx(dict.fromkeys(names, 0.75), abs=0.05)


def test_the_oldest_rows_give_way() -> None:
    trainer = trained(60, train=False, capacity=10)
    for _ in range(10):
        trainer.add_performance_data(**EXAMPLE)
    statistics = trainer.train()
    assert len(trainer) == statistics.rows == 10 and statistics.supported_actions == ("scale_up",)
    assert trainer.recommend().resource_allocation == pytest.approx({"cpu": 0.8, "memory": 0.7})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"outcome": "great"}, "outcome: 'great' is no known label; use optimal, success, good, acceptable"),
        ({"outcome": 1.5}, "outcome: 1.5 is above 1"),
        ({"outcome": True}, "outcome: True is not a number"),
        ({"cost": -1.0}, "cost: -1 is below 0"),
        ({"response_time": float("nan")}, "response_time: nan is not finite"),
        ({"cpu_usage": "much"}, "cpu_usage: 'much' is not a number"),
        ({"scaling_action": None}, "scaling_action: None is no action"),
        ({"resource_allocation": {"cpu": 1.0}}, "resource_allocation: has cpu; the first row had cpu, memory"),
        ({"resource_allocation": [1.0]}, "resource_allocation: .* is no object"),
        ({"resource_allocation": {"cpu": 1.0, "memory": "all"}}, "resource_allocation.memory: 'all' is not a number"),
    ],
)
def test_rows_that_do_not_fit(change: dict[str, Any], named: str) -> None:
    trainer = OptimizationTrainer()
    trainer.add_performance_data(**EXAMPLE)
    with pytest.raises(RecordError, match=named):
        trainer.add_performance_data(**EXAMPLE | change)
    assert len(trainer) == 1 and trainer.data.actions == ("scale_up",)


def test_labels_of_ones_own() -> None:
    trainer = OptimizationTrainer(objective=OUTCOME_ALONE, outcomes={"gruen": 1.0, "rot": 0.0})
    trainer.add_performance_data(**EXAMPLE | {"outcome": "gruen"})
    with pytest.raises(RecordError, match="'optimal' is no known label; use gruen, rot, or a number"):
        trainer.add_performance_data(**EXAMPLE)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"outcomes": {"good": 2.0}}, "outcomes is"),
        ({"pessimism": -1.0}, "pessimism is -1.0"),
        ({"minimum_count": 0}, "minimum_count is 0"),
        ({"resolution": 0}, "resolution is 0"),
        ({"explore": 1.5}, "explore is 1.5"),
        ({"capacity": 0}, "capacity is 0"),
    ],
)
def test_settings_out_of_range(change: dict[str, Any], named: str) -> None:
    with pytest.raises(SpecificationError, match=named):
        OptimizationTrainer(**change)
    with pytest.raises(SpecificationError, match="the weights are"):
        Objective(0.0, 0.0, 0.0)
    with pytest.raises(SpecificationError, match="response_time_target is 0"):
        Objective(response_time_target=0.0)
    trainer = trained(10, train=False)
    for arguments, wrong in (
        (("annealing", 5), "method is 'annealing'; use one of gradient"),
        ((None, 0), "iterations"),
    ):
        with pytest.raises(SpecificationError, match=wrong):
            trainer.train(*arguments)


def test_models_that_do_not_fit(tmp_path: Path) -> None:
    trainer, path = trained(20), tmp_path / "m.json"
    other = QLearningTrainer(2, 2)
    other.update_q_value(0, 0, 1.0, 1, False)
    with pytest.raises(ArtefactError, match="holds no measured rows"):
        trainer.load_model(other.save_model(path))
    with pytest.raises(ArtefactError, match="cannot be read"):
        trainer.load_model(tmp_path / "none.json")
    trainer.save_model(path)
    path.write_bytes(path.read_bytes().replace(b'"rows": 20', b'"rows": 21'))
    with pytest.raises(ArtefactError, match="SHA-256"):
        trainer.load_model(path)
    assert len(trainer) == 20
