"""The crop geometry in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from xactor_jax.media.crop import (
    RELEASED_REFERENCE,
    CropSettings,
    component_boxes,
    crop_square,
    crop_square_on_black,
    portrait_box,
    square_at,
)
from xactor_jax.media.faces import FaceBox

FACE = FaceBox(300, 200, 400, 300)


def test_square_around_the_face():
    box = portrait_box(FACE, (1000, 1000, 3))
    assert box[:4] == pytest.approx((350 - 80, 250 - 80 - 4.8, 350 + 80, 250 + 80 - 4.8))
    assert portrait_box(FACE)[:4] == box[:4]


def test_longer_side_counts():
    assert portrait_box(FaceBox(0, 0, 50, 100)).size == pytest.approx(160)


def test_moved_into_the_image_before_it_is_made_smaller():
    corner = portrait_box(FaceBox(0, 0, 100, 100), (500, 500, 3))
    assert corner[:4] == pytest.approx((0, 0, 160, 160))
    tight = portrait_box(FaceBox(10, 10, 110, 110), (140, 150, 3))
    assert tight.size == pytest.approx(140) and tight.y0 == pytest.approx(0) and tight.x1 <= 150
    tightest = portrait_box(FaceBox(0, 0, 100, 100), (100, 100, 3))
    assert tightest[:4] == pytest.approx((-12.5, -12.5, 112.5, 112.5))


def test_crop_of_whole_pixels_is_exact(rng):
    image = rng.integers(0, 256, (50, 60, 3), np.uint8)
    np.testing.assert_array_equal(crop_square(image, square_at(30.0, 20.0, 16.0), 16), image[12:28, 22:38])


def test_beyond_the_image_is_its_edge(rng):
    image = rng.integers(0, 256, (20, 20, 3), np.uint8)
    padded = np.pad(image, ((8, 8), (8, 8), (0, 0)), mode="edge")
    np.testing.assert_array_equal(crop_square(image, FaceBox(-8, -8, 28, 28), 36), padded)


@pytest.mark.parametrize("size", [8, 32, 100])
def test_resized_crop_keeps_positions(size):
    ramp = np.repeat(np.repeat(np.linspace(0, 255, 64)[None, :, None], 64, 0), 3, 2).astype(np.uint8)
    crop = crop_square(ramp, FaceBox(16, 16, 48, 48), size)
    assert crop.shape == (size, size, 3)
    centres = 16 + (np.arange(size) + 0.5) * 32 / size - 0.5
    np.testing.assert_allclose(crop[size // 2, :, 0], centres * 255 / 63, atol=3)


def test_component_boxes_are_fractions_of_the_crop():
    eyes, mouth = component_boxes(FACE, FaceBox(250, 150, 450, 350))
    np.testing.assert_allclose(eyes, [(50 + 10) / 200, (50 + 8) / 200, (50 + 52) / 200, (50 + 92) / 200], atol=1e-6)
    assert mouth[0] > eyes[2] and mouth[0] < mouth[2] <= 1 and eyes[1] < mouth[1] < mouth[3] < eyes[3]
    outside = component_boxes(FACE, FaceBox(340, 240, 360, 260))
    assert outside.min() >= 0 and outside.max() <= 1


def test_the_released_reference_is_twice_the_box_with_black_beyond_the_picture(rng):
    image = rng.integers(1, 256, (60, 60, 3), np.uint8)
    box = portrait_box(FaceBox(20, 10, 50, 50), settings=RELEASED_REFERENCE)
    assert box[:4] == pytest.approx((-5, -10, 75, 70))
    padded = np.pad(image, ((10, 10), (5, 15), (0, 0)))
    np.testing.assert_array_equal(crop_square_on_black(image, box, 80), padded)
    inside = FaceBox(20, 20, 40, 40)
    np.testing.assert_array_equal(crop_square_on_black(image, inside, 20), image[20:40, 20:40])
