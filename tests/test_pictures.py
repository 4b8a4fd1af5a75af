from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from xactor_jax import pictures


def test_pixels_span_minus_one_to_one():
    given = np.array([0, 51, 255], np.uint8)
    np.testing.assert_allclose(pictures.to_float(given), [-1, -0.6, 1], atol=1e-6)
    np.testing.assert_array_equal(given, [0, 51, 255])


def test_bytes_of_a_batch_become_the_same_floats_on_the_device():
    given = {"frames": np.arange(256, dtype=np.uint8), "latents": np.float32([0.25]), "labels": np.int32([3])}
    found = jax.jit(pictures.batch_to_float)(given)
    assert {name: x.dtype.name for name, x in found.items()} == {"frames": "float32", "latents": "float32", "labels": "int32"}
    np.testing.assert_allclose(found["frames"], np.linspace(-1, 1, 256), atol=2e-7)
    assert found["latents"] == 0.25 and found["labels"] == 3


def test_floats_become_the_nearest_byte_and_what_is_outside_is_clipped():
    bytes_ = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(pictures.to_uint8(jnp.asarray(bytes_ / 127.5 - 1 + 0.4 / 127.5, jnp.float32)), bytes_)
    np.testing.assert_array_equal(pictures.to_uint8(jnp.array([-1.7, 1.7])), [0, 255])


def test_a_grid_has_a_row_for_each_entry():
    rows = [jnp.full((3, 2, 4, 3), value) for value in (-1.0, 1.0)]
    grid = np.asarray(pictures.picture_grid(rows))
    assert grid.shape == (4, 12, 3)
    assert not grid[:2].any() and (grid[2:] == 255).all()
