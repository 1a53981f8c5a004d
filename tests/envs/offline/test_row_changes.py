"""Rows as targets and back: exact where the prediction is exact, and drawn with the predicted probabilities."""

from __future__ import annotations

import numpy as np

from envs.encoding import StandardFeatures
from envs.offline.row_changes import RowChanges
from tests.envs.offline.mixed import mixed_log


def fitted() -> tuple[RowChanges, np.ndarray, np.ndarray]:
    dataset = mixed_log(200)
    rows, following = dataset.observations[dataset.rows], dataset.observations[dataset.rows + 1]
    observation = dataset.specification.observation
    encoder = StandardFeatures.fit(dataset.observations, observation)
    return RowChanges.fit(rows, following, encoder, observation), rows, following


def test_what_is_predicted_exactly_is_decoded_exactly() -> None:
    changes, rows, following = fitted()
    targets = np.nan_to_num(changes.encode(rows, following))
    uniforms = np.random.default_rng(0).random((len(rows), changes.draws))
    normals = np.zeros((len(rows), 2))
    np.testing.assert_allclose(changes.decode(rows, targets, uniforms, normals), following, atol=1e-12)


def test_changes_are_standardised() -> None:
    changes, rows, following = fitted()
    targets = changes.encode(rows, following)[:, :2]
    np.testing.assert_allclose(np.nanmean(targets, axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.nanstd(targets, axis=0), 1.0)
    assert np.isnan(targets[:, 0]).mean() > 0.2


def test_draws_follow_the_predicted_probabilities() -> None:
    """Outputs: load, level, load missing, open (2), kind (3); then noise, rounding and the logged range."""
    changes, _, _ = fitted()
    count, random = 20_000, np.random.default_rng(1)
    here = np.repeat([[0.2, 1.0, 0.0, 3.0]], count, axis=0)
    means = np.repeat([[0.0, 0.0, 0.25, 0.6, 0.4, 0.5, 0.2, 0.3]], count, axis=0)
    noisy = changes.with_noise(np.array([0.5, 0.0]))
    normals = random.standard_normal((count, 2))
    after = noisy.decode(here, means, random.random((count, changes.draws)), normals)
    assert abs(np.isnan(after[:, 0]).mean() - 0.25) < 0.015
    assert abs(after[:, 1].mean() - 0.4) < 0.015
    np.testing.assert_allclose(np.bincount(after[:, 2].astype(int)) / count, [0.5, 0.2, 0.3], atol=0.015)
    expected = np.clip(0.2 + changes.shifts[0] + 0.5 * changes.scales[0] * normals[:, 0], *_range(changes, 0))
    known = np.isfinite(after[:, 0])
    np.testing.assert_allclose(after[known, 0], expected[known])
    assert (after[:, 3] == 4.0).all()
    means[:, 1] = 50.0
    assert (noisy.decode(here, means, random.random((count, changes.draws)), normals)[:, 3] == 6.0).all()


def _range(changes: RowChanges, position: int) -> tuple[float, float]:
    return float(changes.lows[position]), float(changes.highs[position])
