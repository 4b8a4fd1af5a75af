"""Rotary positions as complex numbers, and what their products depend on."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from xactor_jax.layers.rotary import rotate, without_position

rotated = jax.jit(rotate, static_argnums=2)


def test_rotation_is_multiplication_by_complex_units(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 5, 3, 10))
    positions = np.array([0, 1, 2, 7, 40])
    units = np.exp(1j * positions[:, None] * 1000.0 ** (-np.arange(4) / 4))[None, :, None]
    turned = (x[..., :4] + 1j * x[..., 4:8]) * units
    want = np.concatenate([turned.real, turned.imag, x[..., 8:]], axis=-1)
    np.testing.assert_allclose(rotated(jnp.float32(x), positions, 8), want, atol=1e-4)


def test_products_depend_on_differences_and_not_at_all_without_position(key: jax.Array) -> None:
    q, k = jax.random.normal(key, (2, 1, 6, 1, 8))
    products = lambda shift, place: np.einsum("btnh,bsnh->ts", rotated(q, np.arange(6) + shift, 4), place(k, shift))
    moved = [products(shift, lambda k, s: rotated(k, np.arange(6) + s, 4)) for shift in (0, 100)]
    np.testing.assert_allclose(*moved, atol=1e-3)
    assert np.abs(moved[0] - np.einsum("btnh,bsnh->ts", q, k)).max() > 0.1
    still = [products(shift, lambda k, s: without_position(k, 4)) for shift in (0, 100)]
    np.testing.assert_array_equal(*still)
