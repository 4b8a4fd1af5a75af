"""Faces that are put back into a picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from xactor_jax.media.composite import FEATHER, ROUND, composite, patches_of
from xactor_jax.media.crop import SquareBox, crop_square


def smooth(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A picture without fine detail."""
    coarse = rng.uniform(40, 215, (height // 20, width // 20, 3)).astype(np.float32)
    return np.rint(np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255)).astype(np.uint8)


def fading(height: int, width: int, square: SquareBox) -> np.ndarray:
    """Weights of one face, pixel by pixel: distance from the nearest side, or in a corner from its circle."""
    side, out = square.x1 - square.x0, np.zeros((height, width))
    for y, x in np.ndindex(height, width):
        across = min(x + 0.5 - square.x0, square.x1 - x - 0.5)
        down = min(y + 0.5 - square.y0, square.y1 - y - 0.5)
        radius = ROUND * side
        corner = across < radius and down < radius
        inside = radius - np.sqrt((radius - across) ** 2 + (radius - down) ** 2) if corner else min(across, down)
        t = min(max(inside / (FEATHER * side), 0.0), 1.0)
        out[y, x] = 3 * t**2 - 2 * t**3
    return out


def test_one_colour_fades_into_another():
    still, square = np.full((60, 80, 3), (10, 100, 250), np.uint8), SquareBox(20.3, 8.6, 60.3, 48.6)
    face = np.full((16, 16, 3), (210, 100, 0), np.uint8)
    weight = fading(60, 80, square)[..., None]
    expected = still + weight * (face[0, 0].astype(float) - still)
    made = composite(still, patches_of(still.shape, len(face), [square]), [face])
    assert np.abs(made - expected).max() <= 0.51
    assert 0.5 < (weight == 1).sum() / 40**2 < 0.8 and (weight == 0).sum() >= 60 * 80 - 40**2


@pytest.mark.parametrize("side", [24.0, 51.5, 83.25])
def test_what_was_cut_out_comes_back(rng, side):
    """From fewer, from about as many, and from more pixels than it has in the picture."""
    still, square = smooth(rng, 100, 140), SquareBox(21.4, 7.7, 21.4 + side, 7.7 + side)
    back = composite(still, patches_of(still.shape, 52, [square]), [crop_square(still, square, 52)])
    assert np.abs(back.astype(int) - still).max() <= 4


@pytest.mark.parametrize("side", [20.0, 40.5, 75.0])
def test_a_spot_is_where_it_was_drawn(side):
    """Its centre of gravity, at a fraction of a pixel."""
    u, v, square = 14.0, 17.5, SquareBox(30.35, 12.6, 30.35 + side, 12.6 + side)  # edges of the pixels are whole numbers
    y, x = np.mgrid[:32, :32] + 0.5
    spot = 200 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 2.5**2))
    face = np.repeat(np.rint(spot).astype(np.uint8)[..., None], 3, axis=2)
    still = np.zeros((110, 120, 3), np.uint8)
    made = composite(still, patches_of(still.shape, len(face), [square]), [face])[..., 0].astype(float)
    y, x = np.mgrid[:110, :120] + 0.5
    found = np.array([(x * made).sum(), (y * made).sum()]) / made.sum()
    np.testing.assert_allclose(found, [30.35 + u * side / 32, 12.6 + v * side / 32], atol=0.08)


def test_outside_the_squares_no_bit_changes(rng):
    still = rng.integers(0, 256, (90, 160, 3), dtype=np.uint8)
    squares = [SquareBox(-12, 20, 38, 70), SquareBox(60, 55, 105, 100), SquareBox(90.2, 3.1, 140.2, 53.1)]
    faces = rng.integers(0, 256, (3, 20, 20, 3), dtype=np.uint8)
    before, made = still.copy(), composite(still, patches_of(still.shape, 20, squares), faces)
    inside = np.zeros(still.shape[:2], bool)
    for square in squares:
        x0, y0, x1, y1 = (max(0, round(edge)) for edge in square[:4])
        inside[y0:y1, x0:x1] = True
    np.testing.assert_array_equal(made[~inside], still[~inside])
    np.testing.assert_array_equal(still, before)
    assert (made != still).any(axis=2)[inside].mean() > 0.8


def test_at_the_edge_of_the_picture_there_is_nothing_to_fade_into():
    still, square = np.zeros((50, 70, 3), np.uint8), SquareBox(-5.0, 10.0, 35.0, 50.0)
    (patch,) = patches_of(still.shape, 16, [square])
    assert patch.weight.shape == (40, 35, 3)
    weight = patch.weight[..., 0]
    assert (weight[20:, :20] == 1).all() and weight[-1, 0] == 1  # the corner, too
    assert weight[0].max() < 0.1 and weight[:, -1].max() < 0.1


def whole_weights(shape: tuple[int, int], squares: list[SquareBox], beside: list[SquareBox] | None = None) -> np.ndarray:
    weights = np.zeros((len(squares), *shape))
    for weight, patch in zip(weights, patches_of(shape, 16, squares, beside or []), strict=True):
        weight[patch.rows, patch.columns] = patch.weight[..., 0]
    return weights


def test_faces_whose_squares_overlap_are_divided_between_them():
    """Midway if they have one size, otherwise in proportion."""
    left, right = whole_weights((60, 100), [SquareBox(5, 5, 55, 55), SquareBox(45, 5, 95, 55)])
    np.testing.assert_allclose(left[:, :50], right[:, :49:-1], atol=1e-6)
    assert left[30, 52:].max() < 0.05 and (left + right).max() <= 1 + 1e-6
    single = whole_weights((60, 100), [SquareBox(5, 5, 55, 55)])[0]
    np.testing.assert_array_equal(left[:, :46], single[:, :46])
    big, small = whole_weights((80, 120), [SquareBox(0, 0, 80, 80), SquareBox(60, 20, 100, 60)])
    edge = 40 + 40 * 80 / 120  # the centres are at 40 and 80
    assert big[40, int(edge) - 5] > 0.9 > 0.1 > big[40, int(edge) + 5] and small[40, int(edge) + 10] > 0.9
    three = whole_weights((60, 100), [SquareBox(5, 5, 55, 55), SquareBox(30, 5, 80, 55), SquareBox(20, 2, 70, 52)])
    assert three.sum(axis=0).max() <= 1 + 1e-6


def test_a_face_that_does_not_speak_keeps_its_part():
    square, other = SquareBox(5, 5, 55, 55), SquareBox(35, 5, 85, 55)
    beside, together = whole_weights((60, 100), [square], [other])[0], whole_weights((60, 100), [square, other])[0]
    np.testing.assert_array_equal(beside, together)
    assert beside[30, 50:].max() == 0 < whole_weights((60, 100), [square])[0][30, 50:].max()
