"""Every estimator against its formula in exact fractions, as slow and as plain as on paper; up to 200 decisions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from algorithms.ope.overlap import NO_RULE
from algorithms.ope.registry import ESTIMATORS
from algorithms.ope.trajectories import Trajectories
from tests.algorithms.ope.claims import CLAIMS, longest

ZERO, ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True)
class Episode:
    """One ragged episode; all lists are of its own length, ``v`` of one more."""

    ratios: list[Fraction]
    states: list[Fraction]
    rewards: list[Fraction]
    q: list[Fraction]
    v: list[Fraction]

    def weight(self, step: int) -> Fraction:
        """Product of the ratios up to and with the step; after the end, that of the whole episode."""
        product = ONE
        for ratio in self.ratios[: step + 1]:
            product *= ratio
        return product

    def marginal(self, step: int) -> Fraction:
        """The state's ratio times the action's; after the end nothing."""
        return self.states[step] * self.ratios[step] if step < len(self.ratios) else ZERO

    def reward(self, step: int) -> Fraction:
        return self.rewards[step] if step < len(self.rewards) else ZERO

    def residual(self, step: int, discount: Fraction) -> Fraction:
        if step >= len(self.rewards):
            return ZERO
        return self.rewards[step] + discount * self.v[step + 1] - self.q[step]


@dataclass(frozen=True)
class Log:
    episodes: list[Episode]
    horizon: int
    discount: Fraction

    def mean(self, values) -> Fraction:
        values = list(values)
        return sum(values, ZERO) / len(values)

    def steps(self):
        """Each step's discount, weights (E,), rewards (E,) and residuals (E,)."""
        for step in range(self.horizon):
            yield (
                self.discount**step,
                [episode.weight(step) for episode in self.episodes],
                [episode.reward(step) for episode in self.episodes],
                [episode.residual(step, self.discount) for episode in self.episodes],
            )

    def trajectories(self) -> Trajectories:
        """The same as padded arrays; the logarithm of a ratio of any size is taken of its two whole numbers."""

        def padded(lists, width):
            return np.array([[*map(float, each), *[0.0] * (width - len(each))] for each in lists])

        def logarithms(ratios):
            return [np.log(r.numerator) - np.log(r.denominator) if r else -np.inf for r in ratios]

        lengths = np.array([len(episode.rewards) for episode in self.episodes])
        return Trajectories(
            padded([episode.rewards for episode in self.episodes], self.horizon),
            padded([logarithms(episode.ratios) for episode in self.episodes], self.horizon),
            np.arange(self.horizon) < lengths[:, None],
            float(self.discount),
            padded([episode.q for episode in self.episodes], self.horizon),
            padded([episode.v for episode in self.episodes], self.horizon + 1),
            padded([logarithms(episode.states) for episode in self.episodes], self.horizon),
        )


def dot(ours, theirs) -> Fraction:
    return sum((a * b for a, b in zip(ours, theirs, strict=True)), ZERO)


def whole(log: Log):
    """Whole-trajectory weights and returns."""
    weights = [episode.weight(log.horizon) for episode in log.episodes]
    return weights, [dot(e.rewards, [log.discount**t for t in range(len(e.rewards))]) for e in log.episodes]


def ips(log):
    return log.mean(map(Fraction.__mul__, *whole(log)))


def snips(log):
    weights, returns = whole(log)
    return dot(weights, returns) / sum(weights)


def pdis(log, limit=lambda w: w):
    return sum((gamma * log.mean(map(Fraction.__mul__, map(limit, w), r)) for gamma, w, r, _ in log.steps()), ZERO)


def weighted_pdis(log, clip=None):
    total = ZERO
    for gamma, weights, rewards, _ in log.steps():
        if clip is not None:
            mean = log.mean(weights)
            weights = [min(weight / mean, clip) for weight in weights]
        total += gamma * dot(weights, rewards) / sum(weights)
    return total


def control_variates(log):
    terms = []
    for gamma, weights, rewards, _ in log.steps():
        for own in range(len(weights)):
            others = [(w, w * r) for i, (w, r) in enumerate(zip(weights, rewards, strict=True)) if i != own]
            count, sum_w, sum_y = len(others), sum(w for w, _ in others), sum(y for _, y in others)
            variance = count * sum(w * w for w, _ in others) - sum_w**2
            covariance = count * sum(w * y for w, y in others) - sum_w * sum_y
            slope = covariance / variance if variance else ZERO
            terms.append(float(gamma * (weights[own] * rewards[own] - slope * (weights[own] - 1)) / len(weights)))
    return math.fsum(terms)


def direct_method(log):
    return log.mean(episode.v[0] for episode in log.episodes)


def doubly_robust(log, limit=lambda w: w):
    found = (gamma * log.mean(map(Fraction.__mul__, map(limit, w), d)) for gamma, w, _, d in log.steps())
    return direct_method(log) + sum(found, ZERO)


def weighted_doubly_robust(log):
    found = (gamma * dot(weights, residuals) / sum(weights) for gamma, weights, _, residuals in log.steps())
    return direct_method(log) + sum(found, ZERO)


def marginal_weights(log):
    """Those of each step (E,)."""
    return [[episode.marginal(step) for episode in log.episodes] for step in range(log.horizon)]


def marginalized_importance_sampling(log):
    steps = zip(log.steps(), marginal_weights(log), strict=True)
    return sum((gamma * log.mean(map(Fraction.__mul__, w, r)) for (gamma, _, r, _), w in steps), ZERO)


def doubly_robust_marginalized(log):
    steps = zip(log.steps(), marginal_weights(log), strict=True)
    found = (gamma * log.mean(map(Fraction.__mul__, w, d)) for (gamma, _, _, d), w in steps)
    return direct_method(log) + sum(found, ZERO)


LIMIT = Fraction(3, 2)
FORMULAS = {
    "ips": (ips, {}),
    "snips": (snips, {}),
    "pdis": (pdis, {}),
    "weighted_pdis": (weighted_pdis, {}),
    "clipped_pdis": (lambda log: pdis(log, lambda w: min(w, LIMIT)), {"clip": float(LIMIT)}),
    "clipped_weighted_pdis": (lambda log: weighted_pdis(log, LIMIT), {"clip": float(LIMIT)}),
    "control_variates": (control_variates, {}),
    "direct_method": (direct_method, {}),
    "doubly_robust": (doubly_robust, {}),
    "weighted_doubly_robust": (weighted_doubly_robust, {}),
    "switch_doubly_robust": (
        lambda log: doubly_robust(log, lambda w: w if w <= LIMIT else ZERO),
        {"threshold": float(LIMIT)},
    ),
    "doubly_robust_shrinkage": (
        lambda log: doubly_robust(log, lambda w: LIMIT * w / (w * w + LIMIT)),
        {"shrinkage": float(LIMIT)},
    ),
    "marginalized_importance_sampling": (marginalized_importance_sampling, {}),
    "doubly_robust_marginalized": (doubly_robust_marginalized, {}),
}
BY_THEOREM = {"magic"}
"""A mixture of what is checked here, with weights that ``test_magic.py`` checks."""


def random_log(seed: int, horizon: int, episodes: int = 7, ratios=(-3, 3)) -> Log:
    """Whole numbers and ratios of powers of 2, 0 now and then, in episodes of one to ``horizon`` decisions."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(episodes):
        length = horizon if index < 2 else int(rng.integers(1, horizon + 1))
        exponents = rng.integers(ratios[0], ratios[1] + 1, length)
        path = [Fraction(2) ** int(k) for k in exponents]
        if index == episodes - 1:
            path[int(rng.integers(length))] = ZERO  # a greedy policy leaves the log's path here
        numbers = [[Fraction(int(n)) for n in rng.integers(-9, 10, length)] for _ in range(3)]
        ends = ZERO if rng.random() < 0.5 else Fraction(int(rng.integers(-9, 10)))  # cut: the model goes on
        states = [Fraction(2) ** int(k) if k > -3 else ZERO for k in rng.integers(-3, 4, length)]  # 0: never there
        found.append(Episode(path, states, numbers[0], numbers[1], [*numbers[2], ends]))
    return Log(found, horizon, Fraction(15, 16))


def assert_formula(name: str, log: Log) -> None:
    formula, options = FORMULAS[name]
    ours = ESTIMATORS[name](log.trajectories(), overlap=NO_RULE, **options).value
    assert ours == pytest.approx(float(formula(log)), rel=1e-9, abs=1e-9)


def test_every_registered_estimator_has_a_formula():
    assert set(FORMULAS) | BY_THEOREM == set(ESTIMATORS) == set(CLAIMS)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", FORMULAS)
def test_equals_its_formula_in_ragged_episodes(name, seed):
    assert_formula(name, random_log(seed, longest(name, 5)))


@pytest.mark.parametrize("name", [name for name in FORMULAS if longest(name, 200) == 200])
def test_equals_its_formula_over_200_decisions(name):
    """Weights that pass 2⁻¹²⁰⁰, far below the smallest float, and come back."""
    log = random_log(0, 200, ratios=(-1, 1))
    for episode in log.episodes[:2]:
        episode.ratios[:100] = [ratio / 2**12 for ratio in episode.ratios[:100]]
        episode.ratios[100:] = [ratio * 2**12 for ratio in episode.ratios[100:]]
    assert float(log.episodes[0].weight(99)) == 0.0 < float(log.episodes[0].weight(199))
    assert_formula(name, log)


@pytest.mark.parametrize("name", ["snips", "weighted_pdis", "clipped_weighted_pdis", "weighted_doubly_robust"])
def test_what_is_normalised_equals_its_formula_where_weights_leave_the_floats(name):
    """All weights pass 2¹²⁰⁰, which no float holds."""
    log = random_log(1, 200, ratios=(4, 8))
    assert log.episodes[0].weight(199) > 2**1_030
    assert_formula(name, log)
