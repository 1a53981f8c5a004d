"""Model values that never saw the unit they are applied to, and episodes that were cut short."""

from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope.cross_fitting import cross_fit
from algorithms.ope.doubly_robust import doubly_robust
from algorithms.ope.fitted_q_evaluation import fit_q
from algorithms.ope.overlap import NO_RULE
from algorithms.ope.padding import censored, pad, trajectories_from
from algorithms.ope.state_action_models import TabularModel
from envs.errors import DataError


def all_states(dataset):
    return np.where(np.isnan(dataset.observations[:, 0]), -1, dataset.observations[:, 0]).astype(np.int64)


def at_rows(policies, states):
    """Policies (P, S, A) at rows (P, M, A), NaN where the state is not known."""
    probabilities = policies[:, np.maximum(states, 0)].copy()
    probabilities[:, states < 0] = np.nan
    return probabilities


def test_cross_fitting_never_reads_the_unit_it_is_applied_to(bigger):
    """Poisoned rewards of a unit must not reach that unit's own model values, and must reach others'."""
    behaviour = np.full((4, 3), 1 / 3)
    dataset = bigger.dataset(bigger.draw(behaviour, 120, np.random.default_rng(3)), behaviour)
    dataset = replace(dataset, units=(np.arange(120) // 3).astype(str))
    dataset = replace(dataset, specification=replace(dataset.specification, reward_range=None))
    states = all_states(dataset)
    model = TabularModel(states, 4, 3)
    probabilities = at_rows(behaviour[None], states)
    evaluated = np.arange(120) < 90
    always = np.arange(120) >= 80  # episode 89 and 80 … 88 are both evaluated and always fitted on

    def values(rewards, folds):
        return cross_fit(
            model, replace(dataset, rewards=rewards), probabilities, evaluated=evaluated, always=always, folds=folds
        )

    plain, _ = values(dataset.rewards, 5)
    for episode in (0, 40, 85):
        poisoned = dataset.rewards.copy()
        same = dataset.units[dataset.episode_index] == dataset.units[episode]
        poisoned[same] += 1e6
        q, _ = values(poisoned, 5)
        group = np.flatnonzero(dataset.units[:90] == dataset.units[episode])
        assert np.array_equal(q[:, group], plain[:, group])
        assert np.abs(q - plain).max() > 1e3
    alone, _ = values(dataset.rewards, 0)
    poisoned = np.where(dataset.episode_index < 79, 1e6, dataset.rewards)
    assert np.array_equal(values(poisoned, 0)[0], alone)


def test_cross_fit_agrees_with_fit_and_evaluate(bigger):
    behaviour = np.full((4, 3), 1 / 3)
    dataset = bigger.dataset(bigger.draw(behaviour, 100, np.random.default_rng(4)), behaviour)
    states = all_states(dataset)
    model = TabularModel(states, 4, 3)
    policies = np.random.default_rng(5).dirichlet(np.ones(3), (2, 4))
    probabilities = at_rows(policies, states)
    evaluated = np.arange(100) >= 60
    q, v = cross_fit(model, dataset, probabilities, evaluated=evaluated, always=~evaluated, folds=0)
    train = dataset.select_episodes(~evaluated)
    assert q.shape == (2, 40, 8) and v.shape == (2, 40, 9)
    use = ~evaluated[dataset.episode_index]
    functions = fit_q(
        model,
        probabilities=probabilities,
        horizon=8,
        rows=dataset.rows[use],
        actions=dataset.actions[use],
        rewards=dataset.rewards[use],
        terminated=dataset.terminated[use],
        next_rows=dataset.rows[use] + 1,
        next_valid=dataset.next_known[use],
        reward_range=dataset.specification.reward_range,
    )
    assert train.episode_count == 60
    here = ~use
    rows = dataset.rows[here]
    expected_q, expected_v = functions.evaluate(
        rows, 8 - dataset.steps[here], dataset.actions[here], probabilities[:, rows]
    )
    padding = dataset.select_episodes(evaluated)
    for policy in range(2):
        assert q[policy] == pytest.approx(pad(padding, expected_q[policy], 8))
        assert v[policy, :, :8] == pytest.approx(pad(padding, expected_v[policy], 8))
    assert np.all(v[:, :, 8] == 0)


def test_a_cut_episode_carries_the_models_value_of_what_was_cut_off(bigger):
    """Cut after three of eight steps: v holds V̂_5 where the state is known, and the last step goes where not."""
    behaviour = np.full((4, 3), 1 / 3)
    short = bigger.draw(behaviour, 50, np.random.default_rng(6))
    short.active[:, 3:] = False
    short.terminated[:] = False
    whole = short.active.sum(axis=1) == 3
    for known in (True, False):
        dataset = bigger.dataset(short, behaviour, end_known=known)
        states = all_states(dataset)
        probabilities = at_rows(behaviour[None], states)
        everyone = np.ones(50, dtype=bool)
        q, v = cross_fit(TabularModel(states, 4, 3), dataset, probabilities, evaluated=everyone, folds=2)
        bounded = trajectories_from(dataset, probabilities[0, dataset.rows], q=q[0], v=v[0])
        dataset = replace(dataset, specification=replace(dataset.specification, censoring="random"))
        trajectories = trajectories_from(dataset, probabilities[0, dataset.rows], q=q[0], v=v[0])
        assert censored(dataset).all()
        assert np.array_equal(v[0, whole, 3] != 0, np.full(whole.sum(), known))
        assert trajectories.active[whole].sum(axis=1) == pytest.approx(3 if known else 2)
        # With every weight 1, the estimate is the rewards that count and the model's value of the rest.
        steps = trajectories.active.sum(axis=1)
        tail = trajectories.v_values[np.arange(50), steps]
        residual = (q[0] - trajectories.v_values[:, :-1])[trajectories.active].sum()
        total = (trajectories.rewards.sum() + tail.sum() - residual) / 50
        assert doubly_robust(trajectories, overlap=NO_RULE).value == pytest.approx(total)
        # Where the rest has bounds all decisions count in a difference; a policy alone is worth the same.
        assert bounded.active[whole].sum(axis=1) == pytest.approx(3)
        assert doubly_robust(bounded, overlap=NO_RULE).value == pytest.approx(total)
    missing = replace(dataset, propensities=np.where(np.arange(len(dataset)) == 3, np.nan, dataset.propensities))
    with pytest.raises(DataError, match=r"1 of .* decisions have no propensity"):
        trajectories_from(missing, probabilities[0, dataset.rows])
