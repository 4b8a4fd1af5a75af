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


def test_jerk_where_chunks_join_is_found(rng):
    # A broken line whose slope changes only at the joins has all its jerk there; a turning vector has the same everywhere.
    speed = np.repeat(rng.normal(size=(1, 20, 3)), 5, axis=1)
    broken = np.cumsum(speed, axis=1) + 1e-3 * rng.normal(size=(1, 100, 3))
    assert metrics.boundary_jerk(broken, 5) > 50
    assert metrics.boundary_jerk(broken, 7) < 2
    wave = np.stack([np.sin(0.3 * np.arange(1000)), np.cos(0.3 * np.arange(1000))], -1)[None]
    assert metrics.boundary_jerk(wave, 5) == pytest.approx(1.0)


def test_the_joins_of_a_later_segment_are_counted_from_the_start_of_the_rollout():
    jump = (np.arange(40) >= 24).astype(np.float64)  # second differences of 1 and −1 at frames 23 and 24: a join of chunks of 8
    ripple = 0.01 * (-1.0) ** np.arange(40)  # second differences of −0.04 at even frames and 0.04 at odd ones
    motion = (jump + ripple)[None, :, None]
    joins = lambda count: ((count - 2) * 0.04 + 1.04 + 1.04) / count
    assert metrics.boundary_jerk(motion, 8) == pytest.approx(joins(8) / 0.04)  # 7|8, 15|16, 23|24 and 31|32
    assert metrics.boundary_jerk(motion[:, 13:], 8, 13) == pytest.approx(joins(6) / 0.04)


@pytest.mark.parametrize("chunk", [1, 2, 50])
def test_without_joins_or_without_insides_there_is_no_ratio(rng, chunk):
    assert np.isnan(metrics.boundary_jerk(rng.normal(size=(2, 40, 3)), chunk))


def test_rollouts_that_are_the_same_have_no_diversity_and_unrelated_ones_that_of_clips(rng):
    true = rng.normal(size=(30, 200, 4))
    same = np.repeat(rng.normal(size=(1, 30, 200, 4)), 3, axis=0)
    assert metrics.diversity(same, true) == 0.0
    assert metrics.diversity(rng.normal(size=(3, 30, 200, 4)), true) == pytest.approx(1.0, abs=0.02)
    assert metrics.diversity(0.5 * rng.normal(size=(3, 30, 200, 4)), true) == pytest.approx(0.5, abs=0.02)
    assert metrics.pairwise_distance(np.array([[[0.0]], [[3.0]], [[4.0]]])) == pytest.approx((3 + 4 + 1) / 3)


def test_previews_are_scored_by_their_ratios(rng):
    true = rng.normal(size=(2, 60, 4))
    scores = metrics.liveliness(true, 0.5 * true, 10)
    assert scores == pytest.approx({"std_ratio": 0.5, "velocity_ratio": 0.5, "boundary_jerk": metrics.boundary_jerk(true, 10)})


def test_psnr_is_scikit_images(rng):
    image, truth = _pictures(rng, 4, 20, 24, 3)
    assert metrics.psnr(image, truth) == pytest.approx(peak_signal_noise_ratio(truth, image))
    assert metrics.psnr(truth, truth) == float("inf")


def test_l1_and_edges_are_as_written(rng):
    """Both written out pixel by pixel; a constant error has no edges."""
    image, truth = (rng.integers(0, 256, (8, 12, 3), dtype=np.uint8) for _ in range(2))
    error = image.astype(float) - truth.astype(float)
    assert metrics.l1(image, truth) == pytest.approx(np.abs(error).mean() / 255)
    edges = []
    for side in (1, 2, 4):
        e = error.reshape(8 // side, side, 12 // side, side, 3).mean(axis=(1, 3))
        edges.append(np.abs(e[1:] - e[:-1]).mean() + np.abs(e[:, 1:] - e[:, :-1]).mean())
    assert metrics.edge_error(image, truth) == pytest.approx(np.mean(edges) / 255)
    dark = np.zeros((8, 12, 3), np.uint8)
    assert metrics.l1(dark + np.uint8(51), dark) == pytest.approx(0.2) and metrics.edge_error(dark + np.uint8(51), dark) == 0


def test_ssim_is_scikit_images(rng):
    image, truth = _pictures(rng, 40, 33, 3)
    settings = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=-1)
    assert metrics.ssim(image, truth) == pytest.approx(structural_similarity(truth, image, **settings), abs=1e-9)
    assert metrics.over_frames(metrics.ssim, np.stack([image, truth]), np.stack([truth, truth])) == pytest.approx(
        (metrics.ssim(image, truth) + 1) / 2
    )


def test_ssim_of_black_and_white_is_the_published_value():
    # common_metrics_on_video_quality publishes it for 8 × 30 frames of 64 × 64 pixels; all have the same SSIM, C₁ / (1 + C₁).
    black, white = (np.full((64, 64, 3), level, np.uint8) for level in (0, 255))
    assert metrics.ssim(black, white) == pytest.approx(9.999000099990664e-05, rel=1e-9)
