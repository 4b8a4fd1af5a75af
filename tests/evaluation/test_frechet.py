"""The Fréchet distance against closed forms, `scipy.linalg.sqrtm` and what equation (4) says of few samples."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from xactor_jax.evaluation.frechet import Gaussian, Moments, fit_gaussian, frechet_distance, motion_distance


def covariance(rng: np.random.Generator, d: int, rank: int | None = None) -> np.ndarray:
    x = rng.normal(size=(d, rank or 2 * d))
    return x @ x.T / x.shape[1]


def test_of_one_dimension_it_is_the_distance_of_means_and_of_standard_deviations():
    a, b = Gaussian(np.array([1.0]), np.array([[4.0]])), Gaussian(np.array([4.0]), np.array([[25.0]]))
    assert frechet_distance(a, b) == pytest.approx(3.0**2 + (2.0 - 5.0) ** 2)


def test_of_covariances_that_commute(rng):
    basis = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    s, t = rng.uniform(0, 2, (2, 6))
    a, b = (Gaussian(rng.normal(size=6), (basis * x**2) @ basis.T) for x in (s, t))
    assert frechet_distance(a, b) == pytest.approx(np.square(a.mean - b.mean).sum() + np.square(s - t).sum())


@pytest.mark.parametrize("rank", [None, 5])
def test_it_is_that_of_the_matrix_square_root(rng, rank):
    a, b = (Gaussian(rng.normal(size=12), covariance(rng, 12, r)) for r in (None, rank))
    root = scipy.linalg.sqrtm(a.covariance @ b.covariance).real
    expected = np.square(a.mean - b.mean).sum() + np.trace(a.covariance + b.covariance - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-6)


def test_it_is_sound_in_many_dimensions_with_few_samples(rng):
    x = rng.normal(size=(40, 128)).astype(np.float32)
    assert motion_distance(x, x) < 1e-3
    # Both covariances have rank 39. A shift adds its square and changes nothing else.
    assert motion_distance(x, x + np.float32(0.5)) == pytest.approx(128 * 0.25, rel=1e-3)
    # Scaled by 3, every standard deviation differs by twice itself.
    assert motion_distance(x - x.mean(0), 3 * (x - x.mean(0))) == pytest.approx(4 * x.var(0, ddof=1).sum(), rel=1e-3)


def test_the_distance_between_samples_of_one_gaussian_is_equation_4(rng):
    d, n = 8, 2000
    scale = np.linspace(0.5, 2.0, d)
    distances = [motion_distance(*(rng.normal(size=(2, n, d)) * scale)) for _ in range(60)]
    v = scale**2
    pairs = (1 + np.eye(d)) * np.outer(v, v) / (v[:, None] + v)
    assert np.mean(distances) == pytest.approx((2 * v.sum() + pairs.sum()) / n, rel=0.1)


def test_the_gaussian_is_numpys(rng):
    x = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4)) + 3
    fitted = fit_gaussian(x)
    np.testing.assert_allclose(fitted.mean, x.mean(0))
    np.testing.assert_allclose(fitted.covariance, np.cov(x, rowvar=False))


def test_moments_of_parts_add_up_and_come_off(rng):
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(30, 3)) + 2
    both = fit_gaussian(np.concatenate([x, y]))
    np.testing.assert_allclose((Moments.of(x) + Moments.of(y)).gaussian().covariance, both.covariance)
    rest = (Moments.of(np.concatenate([x, y])) - Moments.of(y)).gaussian()
    np.testing.assert_allclose(rest.mean, x.mean(0))
    np.testing.assert_allclose(rest.covariance, np.cov(x, rowvar=False))


def test_motion_that_is_not_finite_has_no_distance(rng):
    x = rng.normal(size=(20, 3))
    assert np.isnan(motion_distance(x, np.full_like(x, np.nan)))
    assert np.isnan(motion_distance(x, x[:1]))
