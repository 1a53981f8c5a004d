"""Networks as a model of values: near the table on a known world, and the same for one policy and for many."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.ope.cross_fitting import cross_fit
from algorithms.ope.fitted_q_evaluation import QFunctions, fit_q, return_bounds
from algorithms.ope.linear_model import LinearModel
from algorithms.ope.neural_model import NetworkSettings, NeuralModel
from algorithms.ope.state_action_models import TabularModel
from envs.errors import DataError

SMALL = NetworkSettings(hidden=16, updates=30)
EXAMPLES = np.arange(0, 600, 7)


def arguments(seed: int = 0, policies: int = 3, **changes: object) -> dict[str, object]:
    """300 transitions of a process on the plane whose rewards no linear function of it holds; rows are pairs."""
    rng = np.random.default_rng(seed)
    points, rows, actions = rng.normal(size=(600, 2)), np.arange(0, 600, 2), rng.integers(0, 3, 300)
    rewards = np.abs(points[rows, 0]) * (actions - 1.0) + 0.1 * rng.normal(size=300)
    return {
        "points": points,
        "rows": rows,
        "actions": actions,
        "rewards": rewards,
        "terminated": rng.random(300) < 0.1,
        "next_rows": rows + 1,
        "next_valid": np.ones(300, dtype=bool),
        "probabilities": rng.dirichlet(np.ones(3), (policies, 600)),
        "horizon": 3,
        "discount": 0.9,
    } | changes


def fit(given: dict[str, object], *, seed: int = 0, chosen: NetworkSettings = SMALL) -> QFunctions:
    rest = {name: value for name, value in given.items() if name != "points"}
    return fit_q(NeuralModel(given["points"], 3, settings=chosen, seed=seed), **rest)  # type: ignore[arg-type]


def values(functions: QFunctions, h: int = 3) -> np.ndarray:
    """Q̂_h of all actions at some rows, (P, m, A)."""
    return functions.model.values(functions.coefficients[h - 1], EXAMPLES, functions.bounds[h - 1])


def test_on_a_known_world_its_error_is_that_of_the_table_and_not_of_a_line(bigger) -> None:
    """Four states as places on a line, of which values are no linear function: the hidden layers must find them."""
    rng, behaviour = np.random.default_rng(0), np.full((4, 3), 1 / 3)
    policies = rng.dirichlet(np.ones(3), (3, 4))
    truth = np.array([bigger.value(policy) for policy in policies])
    errors: dict[str, list[np.ndarray]] = {"table": [], "neural": [], "linear": []}
    for log in range(2):
        dataset = bigger.dataset(bigger.draw(behaviour, 500, rng), behaviour)
        states = np.nan_to_num(dataset.observations[:, 0]).astype(np.int64)
        place = states[:, None] - 1.5
        models = {
            "table": TabularModel(states, 4, 3),
            "neural": NeuralModel(place, 3, seed=log),
            "linear": LinearModel(place, 3),
        }
        everyone = np.ones(500, dtype=bool)
        for name, model in models.items():
            _, v = cross_fit(model, dataset, policies[:, states], evaluated=everyone, folds=2)
            errors[name].append(v[:, :, 0].mean(axis=1) - truth)
    root = {name: float(np.sqrt(np.mean(np.square(found)))) for name, found in errors.items()}
    assert root["neural"] < 1.25 * root["table"]
    assert root["linear"] > 3.0 * root["table"]


def test_values_over_one_step_are_those_of_the_rewards() -> None:
    functions = fit(arguments(horizon=1), chosen=NetworkSettings())
    x = arguments()["points"][EXAMPLES, 0]
    wanted = np.abs(x)[:, None] * np.array([-1.0, 0.0, 1.0])
    inside = np.abs(x) < 1.5
    assert np.abs(values(functions, 1)[0] - wanted)[inside].mean() < 0.1
    linear = fit_q(
        LinearModel(arguments()["points"], 3), **{k: v for k, v in arguments(horizon=1).items() if k != "points"}
    )
    assert np.abs(values(linear, 1)[0] - wanted)[inside].mean() > 0.25


def test_the_last_layer_is_the_ridge_of_the_linear_model_on_what_the_network_found() -> None:
    given = arguments(policies=1, horizon=2)
    functions = fit(given)
    model = functions.model
    for h in (1, 2):
        hidden = [layer[0] for layer in model.split(functions.coefficients[h - 1])[:4]]
        found = model.basis(hidden, given["points"])[:, 1:]
        targets = given["rewards"].copy()
        if h == 2:
            following = model.values(functions.coefficients[0], given["next_rows"], functions.bounds[0])[0]
            following = (following * given["probabilities"][0, given["next_rows"]]).sum(axis=1)
            targets += 0.9 * ~given["terminated"] * following
        rest = {name: value for name, value in given.items() if name not in ("points", "rewards", "horizon")}
        linear = fit_q(LinearModel(found, 3, ridge=SMALL.ridge), rewards=targets, horizon=1, **rest)
        np.testing.assert_allclose(values(functions, h), values(linear, 1), atol=1e-8)


def test_a_policy_has_the_same_values_alone_among_others_and_in_any_order() -> None:
    given = arguments(policies=7)
    together = values(fit(given))
    order = np.random.default_rng(1).permutation(7)
    np.testing.assert_allclose(
        values(fit(given | {"probabilities": given["probabilities"][order]})), together[order], atol=1e-9
    )
    for policy in range(7):
        alone = values(fit(given | {"probabilities": given["probabilities"][[policy]]}))
        np.testing.assert_allclose(alone[0], together[policy], atol=1e-9)
    assert np.abs(together - together[0]).max() > 0.05


def test_equal_policies_have_equal_values_and_the_seed_decides_all() -> None:
    given = arguments()
    twice = given | {"probabilities": given["probabilities"][[0, 1, 0]]}
    first, again, other = values(fit(twice)), values(fit(twice)), values(fit(twice, seed=1))
    np.testing.assert_allclose(first[0], first[2], atol=1e-9)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-4
    assert np.abs(first - other).mean() < 0.2


@settings(max_examples=8, deadline=None)
@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_shift_and_scale_of_rewards_pass_through(shift: float, scale: float) -> None:
    """Without terminations Q̂_h moves by h shifts and is stretched, to rounding that training lets grow."""
    plain = arguments(discount=1.0, terminated=np.zeros(300, dtype=bool))
    moved = plain | {"rewards": shift + scale * plain["rewards"]}
    wanted = 3.0 * shift + scale * values(fit(plain))
    np.testing.assert_allclose(values(fit(moved)), wanted, atol=1e-5 * (scale + abs(shift)))


def test_a_termination_ends_all_reward_and_a_truncation_does_not() -> None:
    for ended, expected in ((False, [1.0, 2.0, 3.0]), (True, [1.0, 1.0, 1.0])):
        given = arguments(rewards=np.ones(300), terminated=np.full(300, ended), discount=1.0)
        functions = fit(given)
        for h, wanted in enumerate(expected, start=1):
            assert values(functions, h) == pytest.approx(wanted, abs=1e-6)


def test_what_is_never_read_may_be_nan_and_values_stay_within_the_bounds() -> None:
    given = arguments()
    clean = values(fit(given | {"reward_range": (-0.2, 0.2)}))
    ended = given["next_rows"][given["terminated"]]
    given["points"][ended] = np.nan
    given["probabilities"][:, ended] = np.nan
    found = fit(given | {"reward_range": (-0.2, 0.2)})
    low, high = return_bounds((-0.2, 0.2), 3, 0.9)
    kept = ~np.isin(EXAMPLES, ended)
    np.testing.assert_array_equal(values(found)[:, kept], clean[:, kept])
    assert clean.min() == low and clean.max() == high


def test_a_feature_that_is_not_finite_where_it_is_read_is_an_error_of_one_line() -> None:
    given = arguments()
    given["points"][given["rows"][5]] = np.nan
    with pytest.raises(DataError, match="not finite"):
        fit(given)
    with pytest.raises(DataError, match="not finite"):
        fit_q(LinearModel(given.pop("points"), 3), **given)


def test_a_rare_action_takes_the_value_of_its_state() -> None:
    given = arguments(terminated=np.ones(300, dtype=bool), horizon=1)
    given["actions"][:] = 0
    given["rewards"] = -50.0 + 10.0 * given["points"][given["rows"], 0]
    found = values(fit(given, chosen=replace(SMALL, ridge=1.0)), 1)[0]
    np.testing.assert_allclose(found, -50.0 + 10.0 * given["points"][EXAMPLES, :1].repeat(3, axis=1), atol=2.0)


def test_on_few_rows_it_takes_few_steps() -> None:
    """Beyond four passes more updates change nothing: they would learn the noise."""
    given = arguments()
    once = values(fit(given, chosen=replace(SMALL, updates=2)))
    many = [values(fit(given, chosen=replace(SMALL, updates=updates))) for updates in (100, 1000)]
    np.testing.assert_array_equal(many[0], many[1])
    assert np.abs(once - many[0]).max() > 0.0


def test_torch_is_loaded_when_a_network_is_trained_and_its_compiler_never() -> None:
    script = """
import sys
import numpy as np
import algorithms.ope.cross_fitting, algorithms.ope.model_classes, algorithms.ope.registry
from algorithms.ope.neural_model import NeuralModel
from algorithms.ope.fitted_q_evaluation import fit_q
model = NeuralModel(np.arange(8.0)[:, None], 1)
assert "torch" not in sys.modules
rows = np.arange(0, 8, 2)
every = np.ones(4, dtype=bool)
fit_q(model, rows=rows, actions=0 * rows, rewards=np.arange(4.0), terminated=~every, next_rows=rows + 1,
      next_valid=every, probabilities=np.ones((1, 8, 1)), horizon=2)
assert "torch" in sys.modules
assert "torch._dynamo" not in sys.modules and "torch._inductor" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
