import cv2
import numpy as np
import pytest

from data.augment import DrivingAugmentation, augment_driving

NOTHING = {name: 0.0 for name in ("brightness", "contrast", "channel_gain", "grayscale", "scale", "warp")}


def picture(size: int = 64) -> np.ndarray:
    image = np.full((size, size, 3), (60, 120, 180), np.uint8)
    cv2.circle(image, (size // 2, size // 2), size // 4, (200, 100, 50), -1)
    return image


def disc_area(image: np.ndarray) -> int:
    return int((image[..., 0].astype(int) > image[..., 2]).sum())


def test_probability_zero_and_zero_strength_change_nothing(rng):
    image = picture()
    np.testing.assert_array_equal(augment_driving(image, rng, DrivingAugmentation(probability=0.0)), image)
    np.testing.assert_array_equal(augment_driving(image, rng, DrivingAugmentation(probability=1.0, **NOTHING)), image)


def test_only_the_generator_decides():
    settings = DrivingAugmentation(probability=1.0)
    a, b, c = (augment_driving(picture(), np.random.default_rng(seed), settings) for seed in (3, 3, 4))
    np.testing.assert_array_equal(a, b)
    assert np.any(a != c)


def test_scale_spans_thirty_per_cent_about_the_centre(rng):
    settings = DrivingAugmentation(probability=1.0, **{**NOTHING, "scale": 0.3})
    true = disc_area(picture())
    factors = np.sqrt([disc_area(augment_driving(picture(), rng, settings)) / true for _ in range(300)])
    assert factors.min() == pytest.approx(0.7, abs=0.04)
    assert factors.max() == pytest.approx(1.3, abs=0.04)


def test_warp_moves_pixels_within_its_bound(rng):
    settings = DrivingAugmentation(probability=1.0, **{**NOTHING, "warp": 0.05})
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None] * 3, 64, axis=0).repeat(3, axis=2)
    moved = (augment_driving(ramp, rng, settings).astype(float) - ramp)[8:-8, 8:-8, 0] / 3
    assert 0.5 < np.abs(moved).max() <= 0.05 * 64 + 0.4  # pixels, with rounding


def test_colour_jitter_changes_colour_and_keeps_shape(rng):
    settings = DrivingAugmentation(probability=1.0, scale=0.0, warp=0.0, grayscale=0.0)
    changed = np.stack([augment_driving(picture(), rng, settings) for _ in range(50)]).astype(float)
    assert changed[:, 0, 0].std(0).min() > 10  # the plain background varies in every channel
    assert np.all(changed[:, :4, :4].std((1, 2)) == 0)  # and stays plain
