"""The augmentation of the driving frame against OpenCV, and the distribution of what it draws."""

from __future__ import annotations

from functools import partial

import cv2
import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from scipy import stats

from xactor_jax.layers.augmentation import Changes, DrivingAugmentation, augment, change, draw_changes
from xactor_jax.parallel.mesh import make_mesh
from xactor_jax.pictures import to_float
from xactor_jax.run_settings import MeshSettings

NOTHING = {name: 0.0 for name in ("brightness", "contrast", "channel_gain", "grayscale", "scale", "warp")}
SIDE, COUNT = 48, 24

augmented = jax.jit(augment, static_argnums=2)


def smooth_pictures(count: int = COUNT) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([cv2.resize(rng.integers(0, 256, (7, 7, 3), dtype=np.uint8), (SIDE, SIDE)) for _ in range(count)])


def levels(pictures: jax.Array) -> np.ndarray:
    """[-1, 1] as 0 … 255, not rounded."""
    return (np.asarray(pictures, np.float64) + 1) * 127.5


def by_opencv(image: np.ndarray, c: Changes) -> np.ndarray:
    """The same changes of one picture on bytes: OpenCV rounds positions to 1/32 pixel, and the last step rounds down."""
    if not c.changed:
        return image
    axis = (np.arange(SIDE) - (SIDE - 1) / 2) / (1 + c.scale) + (SIDE - 1) / 2
    down, right = (cv2.resize(SIDE * c.warp[..., i], (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) for i in (0, 1))
    maps = (axis[None, :] + right).astype(np.float32), (axis[:, None] + down).astype(np.float32)
    x = cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    x = np.repeat(x.mean(-1, keepdims=True), 3, axis=-1) if c.gray else x
    gain = (1 + c.contrast) * (1 + c.channel_gain)
    return np.clip((x - 127.5) * gain + 127.5 + 255 * c.brightness, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("settings", [DrivingAugmentation(), DrivingAugmentation(probability=1.0, warp=0.05, warp_points=3)])
def test_pictures_are_those_of_opencv(settings: DrivingAugmentation, key: jax.Array) -> None:
    """Up to OpenCV's rounding: by 1/64 pixel along each axis, then to whole levels, which the gain enlarges, then down."""
    images = smooth_pictures()
    changes = draw_changes(key, COUNT, settings)
    found = levels(jax.jit(change)(to_float(images), changes))
    drawn = [Changes(*parts) for parts in zip(*map(np.asarray, changes), strict=True)]
    steps = [np.abs(np.diff(images.astype(int), axis=axis)).max() for axis in (1, 2)]
    for image, one, c in zip(images, found, drawn, strict=True):
        gain = (1 + c.contrast) * (1 + c.channel_gain.max())
        expected = by_opencv(image, c) + 0.5 * c.changed  # the middle of what is rounded down to it
        difference = one - expected
        bound = (gain * (sum(steps) / 64 + 0.55) + 0.5) if c.changed else 1e-4
        assert np.abs(difference).max() < bound
        assert np.abs(difference).mean() < 0.5 and abs(difference.mean()) < 0.25
    assert {True, False} == {bool(c.gray) for c in drawn} and sum(bool(c.changed) for c in drawn) >= 15


def test_changes_are_uniform_within_their_bounds_and_independent(key: jax.Array) -> None:
    """Kolmogorov–Smirnov; shares by five standard deviations; correlations of all numbers of a picture."""
    count, s = 4000, DrivingAugmentation(probability=0.7, grayscale=0.3)
    drawn = jax.tree.map(np.asarray, jax.jit(draw_changes, static_argnums=(1, 2))(key, count, s))
    for name in ("scale", "warp", "contrast", "channel_gain", "brightness"):
        values, bound = getattr(drawn, name), getattr(s, name)
        assert stats.kstest(values.ravel(), stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3, name
        assert np.abs(values).max() <= bound
    for share, wanted in ((drawn.changed, s.probability), (drawn.gray, s.grayscale)):
        assert abs(share.mean() - wanted) < 5 * np.sqrt(wanted * (1 - wanted) / count)
    numbers = np.concatenate([x.reshape(count, -1) for x in drawn], axis=1)
    assert numbers.shape[1] == 1 + 1 + 2 * 4 * 4 + 1 + 1 + 3 + 1
    correlation = np.corrcoef(numbers, rowvar=False) - np.eye(numbers.shape[1])
    assert np.abs(correlation).max() < 5 / np.sqrt(count)


def test_probability_zero_and_zero_strength_change_nothing(key: jax.Array) -> None:
    images = to_float(smooth_pictures(4))
    for settings in (DrivingAugmentation(probability=0.0), DrivingAugmentation(probability=1.0, **NOTHING)):
        np.testing.assert_array_equal(augmented(key, images, settings), images)


def test_every_picture_has_its_own_changes_which_the_key_decides(key: jax.Array) -> None:
    images, settings = to_float(np.repeat(smooth_pictures(1), 3, axis=0)), DrivingAugmentation(probability=1.0)
    a, b, c = (np.asarray(augmented(jax.random.key(seed), images, settings)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(a, b)
    assert all(np.abs(x - y).max() > 0.05 for x, y in ((a[0], a[1]), (a[1], a[2]), (a, c)))


def test_pictures_grow_and_shrink_by_thirty_per_cent_about_the_centre(key: jax.Array) -> None:
    disc = np.full((SIDE, SIDE, 3), (60, 120, 180), np.uint8)
    cv2.circle(disc, (SIDE // 2, SIDE // 2), SIDE // 4, (200, 100, 50), -1)
    images = to_float(np.repeat(disc[None], 300, axis=0))
    area = lambda x: (np.asarray(x)[..., 0] > np.asarray(x)[..., 2]).sum(axis=(1, 2))
    settings = DrivingAugmentation(probability=1.0, **{**NOTHING, "scale": 0.3})
    factors = np.sqrt(area(augmented(key, images, settings)) / area(images))
    assert factors.min() == pytest.approx(0.7, abs=0.04) and factors.max() == pytest.approx(1.3, abs=0.04)


def test_devices_that_split_the_pictures_make_the_same_and_exchange_none(key: jax.Array) -> None:
    images, settings = to_float(smooth_pictures(8)), DrivingAugmentation()
    rows = NamedSharding(make_mesh(MeshSettings()), PartitionSpec("data"))
    split = jax.jit(partial(augment, settings=settings), in_shardings=(None, rows), out_shardings=rows).lower(key, images)
    compiled = split.compile()
    assert not any(word in compiled.as_text() for word in ("all-gather", "all-to-all", "all-reduce", "collective-permute"))
    np.testing.assert_allclose(compiled(key, jax.device_put(images, rows)), augmented(key, images, settings), atol=1e-6)
