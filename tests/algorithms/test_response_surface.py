"""The quadratic response surface: exact fits, calibrated intervals, gradients; its region; and searches on it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.data_region import DataRegion, Reach
from algorithms.response_surface import Basis, fit_surface, held_out, standardization
from algorithms.surface_search import METHODS, Problem, solve

BEST = np.array([0.5, -0.25])
NONE = np.empty(0)


def bowl(points: np.ndarray) -> np.ndarray:
    """A quadratic with its optimum 1 at BEST, curved differently along its axes, with an interaction."""
    away = points - BEST
    return 1.0 - 0.8 * away[:, 0] ** 2 - 0.5 * away[:, 1] ** 2 + 0.4 * away[:, 0] * away[:, 1]


def sampled(rows: int, noise: float, seed: int, high: float = 1.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    points = random.uniform(-1.5, high, (rows, 2))
    return points, np.zeros(rows, dtype=np.int64), bowl(points) + noise * random.standard_normal(rows)


def problem_of(points: np.ndarray, y: np.ndarray, pessimism: float = 0.0) -> Problem:
    groups = np.zeros(len(points), dtype=np.int64)
    reach = DataRegion.of(points, groups, 0).reach(NONE, 0)
    assert reach is not None
    return Problem(fit_surface(points, groups, y, Basis(2, 1, 0)), reach, NONE, 0, pessimism)


def test_a_quadratic_without_noise_is_found_exactly() -> None:
    points, groups, y = sampled(100, 0.0, 0)
    surface = fit_surface(points, groups, y, Basis(2, 1, 0))
    new = np.random.default_rng(1).uniform(-1.5, 1.5, (50, 2))
    mean, error = surface.predict(new, np.zeros(50, dtype=np.int64))
    np.testing.assert_allclose(mean, bowl(new), atol=2e-3)
    assert error.max() < 0.05


def test_groups_have_offsets_and_slopes_of_their_own() -> None:
    random = np.random.default_rng(0)
    points, groups = random.uniform(-1.5, 1.5, (400, 2)), random.integers(3, size=400)
    offsets, slopes = np.array([0.0, 0.7, -0.4]), np.array([0.5, -0.5, 0.0])
    y = bowl(points) + offsets[groups] + slopes[groups] * points[:, 0] + 0.05 * random.standard_normal(400)
    surface = fit_surface(points, groups, y, Basis(2, 3, 1))
    at = np.array([[1.0, 0.3]] * 3)
    mean, _ = surface.predict(at, np.arange(3))
    np.testing.assert_allclose(mean, bowl(at) + offsets + slopes, atol=0.05)


@pytest.mark.parametrize(("rows", "noise"), [(15, 0.3), (40, 0.3), (40, 0.05), (200, 1.0)])
def test_intervals_are_calibrated(rows: int, noise: float) -> None:
    new = np.random.default_rng(9).uniform(-1.5, 1.5, (20, 2))
    group = np.zeros(20, dtype=np.int64)
    inside, new_inside = [], []
    for seed in range(60):
        surface = fit_surface(*sampled(rows, noise, seed), Basis(2, 1, 0))
        mean, error = surface.predict(new, group)
        half = surface.quantile(0.95)
        inside.append(np.abs(mean - bowl(new)) <= half * error)
        measured = bowl(new) + noise * np.random.default_rng([seed, 1]).standard_normal(20)
        new_inside.append(np.abs(mean - measured) <= half * surface.measurement_errors(error))
    assert 0.88 < np.mean(inside) <= 1.0
    assert 0.91 < np.mean(new_inside) < 0.995


def test_fewer_rows_and_distance_are_less_certain() -> None:
    group = np.zeros(1, dtype=np.int64)
    near, far = np.zeros((1, 2)), np.full((1, 2), 4.0)
    few = fit_surface(*sampled(8, 0.3, 0), Basis(2, 1, 0))
    many = fit_surface(*sampled(200, 0.3, 0), Basis(2, 1, 0))
    assert few.predict(near, group)[1] > 2.0 * many.predict(near, group)[1]
    assert many.predict(far, group)[1] > 5.0 * many.predict(near, group)[1]


def test_a_unit_of_the_response_changes_nothing_else() -> None:
    points, groups, y = sampled(30, 0.2, 0)
    plain, scaled = (fit_surface(points, groups, each, Basis(2, 1, 0)) for each in (y, 1000.0 * y + 5.0))
    (mean, error), (other, other_error) = (each.predict(points, groups) for each in (plain, scaled))
    np.testing.assert_allclose(other, 1000.0 * mean + 5.0, rtol=1e-6)
    np.testing.assert_allclose(other_error, 1000.0 * error, rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.0, 3.0))
def test_gradients_are_those_of_finite_differences(seed: int, pessimism: float) -> None:
    random = np.random.default_rng(seed)
    points, groups = random.normal(size=(25, 3)), random.integers(2, size=25)
    surface = fit_surface(points, groups, random.normal(size=25), Basis(3, 2, 2))
    at, group = random.normal(size=(4, 3)), random.integers(2, size=4)
    _, gradient = surface.lower_bound(at, group, pessimism)
    for column in range(3):
        ahead, behind = (
            surface.lower_bound(at + sign * 1e-6 * np.eye(3)[column], group, pessimism) for sign in (1, -1)
        )
        np.testing.assert_allclose(gradient[:, column], (ahead[0] - behind[0]) / 2e-6, atol=1e-5)


def test_held_out_figures_tell_signal_from_noise() -> None:
    basis = Basis(2, 1, 0)
    good, coverage = held_out(*sampled(200, 0.2, 0), basis)
    truth = 1.0 - 0.2**2 / sampled(20_000, 0.2, 1)[2].var()
    assert abs(good - truth) < 0.03 and 0.9 < coverage < 1.0
    points, groups, _ = sampled(200, 0.0, 0)
    nothing, _ = held_out(points, groups, np.random.default_rng(0).normal(size=200), basis)
    assert nothing < 0.02
    assert held_out(points, groups, np.ones(200), basis) == (0.0, 1.0)


def test_constant_columns_have_the_scale_1() -> None:
    centre, scale = standardization(np.array([[1.0, 0.1], [3.0, 0.1], [5.0, 0.1]]))
    np.testing.assert_allclose(centre, [3.0, 0.1])
    np.testing.assert_allclose(scale, [np.sqrt(8 / 3), 1.0])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000))
def test_what_is_projected_is_inside_and_what_is_inside_stays(seed: int) -> None:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(6, 2))
    reach = Reach(centres, random.uniform(0.0, 0.5, 6), centres.min(axis=0), centres.max(axis=0))
    pulled = reach.project(random.normal(scale=3.0, size=(30, 2)))
    gaps = np.sqrt(((pulled[:, None] - centres) ** 2).sum(axis=2)) - reach.radii
    assert (gaps.min(axis=1) <= 1e-9).all()
    assert (pulled >= reach.low - 1e-12).all() and (pulled <= reach.high + 1e-12).all()
    np.testing.assert_allclose(reach.project(pulled), pulled, atol=1e-9)
    np.testing.assert_allclose(reach.project(centres), centres, atol=1e-12)


def test_a_region_reaches_as_far_as_rows_are_apart() -> None:
    grid = np.stack(np.meshgrid(np.arange(4.0), np.arange(4.0)), axis=-1).reshape(-1, 2)
    groups = np.zeros(16, dtype=np.int64)
    groups[:4] = 1  # those at the second coordinate 0
    region = DataRegion.of(np.repeat(grid, 3, axis=0), np.repeat(groups, 3), 1)
    assert region.radius == 1.0
    assert region.reach(np.array([4.5]), 0) is None and region.reach(np.array([2.0]), 2) is None
    reach = region.reach(np.array([3.6]), 1)
    assert reach is not None and set(reach.centres.ravel()) == {0.0}
    np.testing.assert_allclose(np.unique(reach.radii), [0.8])
    np.testing.assert_allclose(reach.project(np.array([[5.0], [-1.0]])), [[0.8], [0.0]])
    assert region.distance(np.array([3.6])) == pytest.approx(0.6)
    assert region.distance(np.array([2.0, 0.5]), 0) == 0.5 == region.distance(np.array([2.0, 0.5]), 1)
    alone = DataRegion.of(grid[:1], groups[:1], 1)
    assert alone.radius == 0.0 and alone.reach(np.array([0.1]), 1) is None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_an_optimum_inside_is_found(method: str, seed: int) -> None:
    points, _, y = sampled(300, 0.0, seed)
    solution = solve(problem_of(points, y), method, 100, seed)
    np.testing.assert_allclose(solution.decision, BEST, atol=0.02)
    assert (np.diff(solution.trace) >= 0.0).all() and solution.trace[-1] == solution.value > solution.trace[0]
    assert len(solution.trace) == 101


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_an_optimum_outside_ends_at_the_boundary(method: str, seed: int) -> None:
    points, _, y = sampled(300, 0.0, seed, high=0.0)  # the optimum lies at (0.5, -0.25)
    problem = problem_of(points, y)
    solution = solve(problem, method, 100, seed)
    grid = np.stack(np.meshgrid(np.linspace(-1.5, 0.0, 150), np.linspace(-1.5, 0.0, 150)), axis=-1).reshape(-1, 2)
    inside = grid[(grid <= problem.reach.high).all(axis=1)]
    gaps = [np.sqrt(((problem.reach.centres - point) ** 2).sum(axis=1)).min() for point in inside]
    inside = inside[np.array(gaps) <= problem.reach.radii[0]]
    best = problem.values(inside).max()
    assert solution.value >= best - 2e-3
    assert solution.decision[0] == pytest.approx(problem.reach.high[0], abs=1e-3)
    assert np.sqrt(((problem.reach.centres - solution.decision) ** 2).sum(1)).min() <= problem.reach.radii[0] + 1e-9


def test_pessimism_prefers_what_is_known() -> None:
    random = np.random.default_rng(0)
    points = np.vstack([random.normal([-0.5, 0.0], 0.2, (200, 2)), [[1.0, 0.0], [1.2, 0.3], [1.2, -0.3]]])
    y = 0.05 * points[:, 0] + 0.3 * random.standard_normal(len(points))
    far, near = (solve(problem_of(points, y, pessimism), "gradient", 100, 0) for pessimism in (0.0, 5.0))
    error = [problem_of(points, y).surface.predict(each.decision[None], np.array([0]))[1][0] for each in (far, near)]
    assert error[0] > 2.0 * error[1]
