"""Sizes of pictures against NumPy's interpolation and against sizes that the published programs make."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.metric_networks.preprocessing import centre_crop, resized, short_side_resized


def along(x: np.ndarray, length: int, axis: int) -> np.ndarray:
    """Linear interpolation at the centres of `length` pixels; beyond the outer centres the values stay."""
    places = (np.arange(length) + 0.5) * x.shape[axis] / length - 0.5
    return np.apply_along_axis(lambda line: np.interp(places, np.arange(len(line)), line), axis, x)


@pytest.mark.parametrize("size", [(9, 13), (3, 4)])
def test_resizing_interpolates_between_the_nearest_pixels(rng, size):
    x = rng.uniform(size=(2, 6, 8, 3)).astype(np.float32)
    expected = along(along(x, size[0], 1), size[1], 2)
    np.testing.assert_allclose(resized(jnp.asarray(x), *size), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((48, 64), (224, 299)), ((64, 48), (299, 224)), ((64, 64), (224, 224)), ((82, 82), (225, 224)), ((82, 90), (224, 246))],
)
def test_the_short_side_and_what_rounding_makes_of_squares(size, expected):
    assert short_side_resized(jnp.zeros((*size, 1)), 224).shape == (*expected, 1)


def test_the_crop_is_in_the_middle():
    x = jnp.arange(7 * 8, dtype=jnp.float32).reshape(1, 7, 8, 1)
    np.testing.assert_array_equal(centre_crop(x, 4)[0, :, :, 0], np.arange(56).reshape(7, 8)[1:5, 2:6])
