"""Blur, grain, a background that was smoothed, and flicker are each seen by their own number."""

import cv2
import numpy as np
import pytest

from xactor_jax.evaluation.detail import detail_scores


@pytest.fixture(scope="module")
def clip():
    """A textured square moves over a textured background that stands still."""
    rng = np.random.default_rng(0)
    ground, square = rng.integers(60, 200, (48, 48, 3)), rng.integers(60, 200, (16, 16, 3))
    frames = np.stack([ground] * 6)
    for t, frame in enumerate(frames):
        frame[8:24, 4 + 3 * t : 20 + 3 * t] = square
    return frames.astype(np.uint8)


def test_the_truth_is_one_in_all(clip):
    assert detail_scores(clip, clip) == pytest.approx({"detail": 1.0, "background": 1.0, "flicker": 1.0}, rel=0.02)


def test_against_the_equations(clip):
    """On grey pictures, pixel by pixel."""
    grey = np.repeat(clip[..., :1], 3, axis=-1)
    other = np.clip(grey.astype(int) + np.random.default_rng(1).integers(-20, 20, grey.shape[:3])[..., None], 0, 255)
    x, y = (v[..., 0].astype(float) for v in (other, grey))
    soft_x, soft_y = (np.stack([cv2.GaussianBlur(frame, (0, 0), 1.0) for frame in v]) for v in (x, y))
    still = np.abs(soft_y - soft_y[0]).max(0) < 6
    expected = {
        "detail": ((x - soft_x)[1:][:, ~still] ** 2).sum() / ((y - soft_y)[1:][:, ~still] ** 2).sum(),
        "background": ((x - soft_x)[1:][:, still] ** 2).mean() / ((y - soft_y)[0][still] ** 2).mean(),
        "flicker": np.std(x[1:] - x[:-1]) / np.std(y[1:] - y[:-1]),
    }
    assert detail_scores(other.astype(np.uint8), grey) == pytest.approx(expected)
    assert 0.2 < still.mean() < 0.9


def test_blur_grain_and_flicker(clip):
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 1.5) for frame in clip])
    assert max(detail_scores(blurred, clip)[name] for name in ("detail", "background")) < 0.3
    grain = np.random.default_rng(1).normal(0, 25, clip.shape)
    steady, restless = (np.clip(clip + noise, 0, 255).astype(np.uint8) for noise in (grain[:1], grain))
    assert detail_scores(steady, clip)["detail"] > 1.15
    assert detail_scores(steady, clip)["flicker"] < 1.1 < 1.2 < detail_scores(restless, clip)["flicker"]


def test_scores_are_missing_where_nothing_stands_still_or_moves(clip):
    still = np.repeat(clip[:1], 6, axis=0)
    assert np.isnan(detail_scores(clip, still)["detail"]) and np.isnan(detail_scores(clip, still)["flicker"])
    rolling = np.stack([np.roll(clip[0], 5 * t, axis=1) for t in range(30)])
    assert np.isnan(detail_scores(rolling, rolling)["background"])
