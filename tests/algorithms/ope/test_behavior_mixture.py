"""The log of an A/B test, by enumeration: what the mixture's propensities buy, and where an arm's own are wrong."""

from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope.behavior_mixture import mixture_propensities
from algorithms.ope.importance_sampling import ips_contributions
from algorithms.ope.padding import trajectories_from
from algorithms.ope.per_decision import pdis_contributions
from envs.errors import DataError

ARMS = np.array([[[0.8, 0.2], [0.5, 0.5], [0.3, 0.7]], [[0.1, 0.9], [0.9, 0.1], [0.6, 0.4]]])
SHARES = np.array([0.7, 0.3])
TARGET = np.array([[0.5, 0.5], [0.3, 0.7], [0.8, 0.2]])


def enumerated(world, arms=ARMS):
    """All trajectories of the test, each with its probability under every arm, (arms, E)."""
    everything = world.enumerate(np.full((3, 2), 0.5))
    dataset = world.dataset(everything, np.full((3, 2), 0.5))
    states = dataset.observations[dataset.rows, 0].astype(int)
    by_arm = arms[:, states, dataset.actions]
    uniform = 0.5 ** everything.active.sum(axis=1)
    products = np.stack([np.multiply.reduceat(line, dataset.offsets[:-1]) for line in by_arm])
    return dataset, states, by_arm, everything.probability / uniform * products


def moments(dataset, states, propensities, probability, contributions):
    """Exact mean and second moment of an estimator's contribution."""
    possible = probability > 0
    usable = np.where(np.repeat(possible, dataset.lengths), propensities, 1.0)
    values = contributions(trajectories_from(dataset, TARGET[states], propensities=usable))[possible]
    return probability[possible] @ values, probability[possible] @ values**2


def test_the_product_over_an_episode_is_the_mixture_of_the_products(world):
    dataset, _, by_arm, probability = enumerated(world)
    propensities = mixture_propensities(dataset, by_arm, SHARES)
    products = np.multiply.reduceat(by_arm, dataset.offsets[:-1], axis=1)
    assert np.multiply.reduceat(propensities, dataset.offsets[:-1]) == pytest.approx(SHARES @ products, rel=1e-12)
    # The first decision knows nothing of the arm; later ones are not the state's average.
    assert propensities[dataset.offsets[:-1]] == pytest.approx(SHARES @ by_arm[:, dataset.offsets[:-1]], rel=1e-12)
    later = dataset.steps == 2
    assert np.abs(propensities - SHARES @ by_arm)[later].max() > 0.05
    assert (SHARES @ probability).sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("contributions", [ips_contributions, pdis_contributions])
def test_both_are_unbiased_and_the_mixture_varies_less(world, contributions):
    dataset, states, by_arm, probability = enumerated(world)
    truth = world.value(TARGET)
    mixture = mixture_propensities(dataset, by_arm, SHARES)
    mean, square = moments(dataset, states, mixture, SHARES @ probability, contributions)
    own = [
        moments(dataset, states, by_arm[arm], SHARES[arm] * probability[arm], contributions) for arm in range(len(ARMS))
    ]
    own_mean, own_square = np.sum(own, axis=0)
    assert mean == pytest.approx(truth, abs=1e-10)
    assert own_mean == pytest.approx(truth, abs=1e-10)
    assert square - mean**2 < 0.6 * (own_square - own_mean**2)
    # The state's average probability, as if the arm were drawn anew at each decision, is plainly wrong.
    averaged, _ = moments(dataset, states, SHARES @ by_arm, SHARES @ probability, contributions)
    assert abs(averaged - truth) > 0.02


def test_where_an_arm_never_acts_its_own_propensity_is_biased_and_the_mixture_is_not(world):
    rule = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    dataset, states, by_arm, probability = enumerated(world, np.stack([rule, np.full((3, 2), 0.5)]))
    truth = world.value(TARGET)
    mixture = mixture_propensities(dataset, by_arm, SHARES)
    mean, _ = moments(dataset, states, mixture, SHARES @ probability, pdis_contributions)
    assert mean == pytest.approx(truth, abs=1e-10)
    own = sum(
        moments(dataset, states, by_arm[arm], SHARES[arm] * probability[arm], pdis_contributions)[0] for arm in range(2)
    )
    assert abs(own - truth) > 0.1


def test_an_arm_drawn_once_for_a_unit_of_two_episodes_needs_no_other_propensities(world):
    """Sticky assignment: each episode by itself is the mixture; conditioning on the unit's past varies more."""
    dataset, states, by_arm, probability = enumerated(world)
    mixture = mixture_propensities(dataset, by_arm, SHARES)
    values = ips_contributions(trajectories_from(dataset, TARGET[states], propensities=mixture))
    law = SHARES @ probability
    # Second episodes, whatever the first was: Σ_first P(first) Σ_second P(second | first) value(second).
    given_first = (SHARES[:, None] * probability / law).T @ probability
    assert law @ (given_first @ values) == pytest.approx(world.value(TARGET), abs=1e-10)
    conditional = values * law / given_first  # divided by the probability given the first episode instead
    second_moment = law @ (given_first * conditional**2).sum(axis=1)
    assert second_moment > law @ values**2


def test_shares_may_differ_by_episode_and_long_episodes_do_not_underflow(world):
    dataset, _, by_arm, _ = enumerated(world)
    ramp = np.stack([np.linspace(0.0, 1.0, dataset.episode_count), np.linspace(1.0, 0.0, dataset.episode_count)])
    propensities = mixture_propensities(dataset, by_arm, ramp)
    first, last = dataset.episode_index == 0, dataset.episode_index == dataset.episode_count - 1
    assert propensities[first] == pytest.approx(by_arm[1, first], rel=1e-14)
    assert propensities[last] == pytest.approx(by_arm[0, last], rel=1e-14)
    steps = 3_000
    endless = replace(
        dataset,
        offsets=np.array([0, steps]),
        actions=np.zeros(steps, dtype=np.int64),
        end_known=np.zeros(1, dtype=bool),
    )
    tiny = mixture_propensities(endless, np.stack([np.full(steps, 0.2), np.full(steps, 0.1)]), np.array([1e-6, 1.0]))
    assert tiny[0] == pytest.approx(0.1, rel=1e-5) and tiny[-1] == pytest.approx(0.2, rel=1e-12)


def test_what_no_arm_can_have_done_is_refused(world):
    dataset, _, by_arm, _ = enumerated(world)
    with pytest.raises(DataError, match="taken by no arm"):
        mixture_propensities(dataset, np.where(np.arange(len(dataset)) == 4, 0.0, by_arm), SHARES)
    with pytest.raises(DataError, match="shape"):
        mixture_propensities(dataset, by_arm[:, 1:], SHARES)
    with pytest.raises(DataError, match="outside"):
        mixture_propensities(dataset, by_arm * 2, SHARES)
