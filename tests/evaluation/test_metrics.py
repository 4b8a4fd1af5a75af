"""Scores against scikit-image, scikit-learn and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.metrics import r2_score

from xactor_jax.evaluation import metrics


def _pictures(rng: np.random.Generator, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    truth = rng.integers(0, 256, shape, dtype=np.uint8)
    noise = rng.normal(0, 20, shape)
    return np.clip(truth + noise, 0, 255).astype(np.uint8), truth


def test_r_squared_is_scikit_learns(rng):
    y = rng.normal(size=(200, 3))
    predicted = y + rng.normal(size=(200, 3)) * [0.1, 1.0, 3.0]
    np.testing.assert_allclose(metrics.r_squared(y, predicted), r2_score(y, predicted, multioutput="raw_values"))


def test_r_squared_of_a_constant_is_not_a_number():
    assert np.isnan(metrics.r_squared(np.ones((5, 1)), np.ones((5, 1)))).all()


def test_correlation_is_numpys(rng):
    a, b = rng.normal(size=(2, 50))
    assert metrics.correlation(a, b + a) == pytest.approx(np.corrcoef(a, b + a)[0, 1])
    assert metrics.correlation(np.ones(50), b) == 0.0


@pytest.mark.parametrize("delay", [-7, -1, 0, 3, 10])
def test_the_lag_is_the_delay_of_the_first_curve(rng, delay):
    source = rng.normal(size=200)
    a, b = source[20 - delay : 120 - delay], source[20:120]
    curve = metrics.lag_correlations(a, b)
    assert metrics.best_lag(curve) == delay
    assert curve.max() == pytest.approx(1.0)


def test_correlation_within_a_lag_leaves_farther_ones_out(rng):
    source = rng.normal(size=200)
    curve = metrics.lag_correlations(source[:100], source[3:103])
    assert metrics.correlation_within(curve, 3) == pytest.approx(1.0)
    assert metrics.correlation_within(curve, 1) < 0.5


def test_curves_too_short_for_the_lag_are_refused():
    with pytest.raises(ValueError, match="cannot be compared"):
        metrics.lag_correlations(np.zeros(8), np.zeros(8))


def test_ratios_of_scaled_and_of_slowed_motion():
    t = np.arange(1000) * 0.2
    true = np.stack([np.sin(t), np.cos(t)], -1)[None]
    slow = np.stack([np.sin(t / 2), np.cos(t / 2)], -1)[None]
    assert metrics.std_ratio(0.5 * true, true) == pytest.approx(0.5)
    assert metrics.std_ratio(slow, true) == pytest.approx(1.0, abs=0.02)
    # The difference of sin(ωt) at neighbouring frames has amplitude 2 sin(ω/2).
    assert metrics.velocity_ratio(slow, true) == pytest.approx(np.sin(0.05) / np.sin(0.1), abs=0.01)


def test_psnr_is_scikit_images(rng):
    image, truth = _pictures(rng, 4, 20, 24, 3)
    assert metrics.psnr(image, truth) == pytest.approx(peak_signal_noise_ratio(truth, image))
    assert metrics.psnr(truth, truth) == float("inf")


def test_ssim_is_scikit_images(rng):
    image, truth = _pictures(rng, 40, 33, 3)
    settings = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=-1)
    assert metrics.ssim(image, truth) == pytest.approx(structural_similarity(truth, image, **settings), abs=1e-9)
    assert metrics.video_ssim(np.stack([image, truth]), np.stack([truth, truth])) == pytest.approx(
        (metrics.ssim(image, truth) + 1) / 2
    )
