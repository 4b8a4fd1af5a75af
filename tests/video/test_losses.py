from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from xactor_jax.video import losses


def test_pixel_losses(rng):
    a, b = rng.normal(size=(2, 2, 4, 4, 3)).astype(np.float32)
    assert losses.pixel_loss(jnp.asarray(a), jnp.asarray(b), "l1") == pytest.approx(np.abs(a - b).mean(), rel=1e-5)
    assert losses.pixel_loss(jnp.asarray(a), jnp.asarray(b), "mse") == pytest.approx(((a - b) ** 2).mean(), rel=1e-5)


def test_gradient_loss_compares_differences_at_every_scale(rng):
    a, b = rng.normal(size=(2, 1, 4, 4, 1))
    half = lambda x: x.reshape(1, 2, 2, 2, 2, 1).mean(axis=(2, 4))
    expected = 0.0
    for x, y in ((a, b), (half(a), half(b))):
        for axis in (1, 2):
            expected += np.abs(np.diff(x, axis=axis) - np.diff(y, axis=axis)).mean()
    a, b = jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)
    assert losses.gradient_loss(a, b, 2) == pytest.approx(expected / 2, rel=1e-4)
    assert losses.gradient_loss(a, a + 1.0, 2) == pytest.approx(0.0, abs=1e-6)


def test_kl_is_that_of_two_gaussians(rng):
    mean, std = 0.7, 1.3
    x = np.linspace(-12, 12, 200_001)
    p = np.exp(-0.5 * ((x - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))
    q = np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    expected = np.trapezoid(p * np.log(np.maximum(p, 1e-300) / q), x)
    value = losses.kl_to_standard_normal(jnp.full(3, mean), jnp.full(3, 2 * np.log(std)))
    assert value == pytest.approx(expected, rel=1e-4)


def test_psnr_is_skimage_s(rng):
    a = rng.uniform(-1, 1, size=(2, 8, 8, 3)).astype(np.float32)
    b = np.clip(a + 0.1 * rng.normal(size=a.shape), -1, 1).astype(np.float32)
    expected = peak_signal_noise_ratio(a, b, data_range=2.0)
    assert losses.psnr(jnp.asarray(a), jnp.asarray(b)) == pytest.approx(expected, rel=1e-4)


def test_boxes_cover_the_cells_whose_centres_they_hold():
    boxes = jnp.array([[[0.0, 0.0, 0.5, 0.25], [0.5, 0.5, 1.0, 1.0]]])
    inside = np.asarray(losses.inside_boxes(boxes, 4, 4))[0]
    expected = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]], bool)
    np.testing.assert_array_equal(inside, expected)


def test_movement_weights_have_mean_one_and_grow_where_it_moves():
    change = jnp.zeros((1, 2, 4, 4, 3)).at[0, 0, 3, 3].set(1.0)
    boxes = jnp.broadcast_to(jnp.array([0.0, 0.0, 0.25, 0.25]), (1, 2, 2, 4))
    weights = np.asarray(losses.movement_weights(change, boxes, 2.0, 0.5))[0, ..., 0]
    assert weights.mean() == pytest.approx(1.0, rel=1e-5)
    still = weights[0, 1, 1]
    assert weights[0, 0, 0] / still == pytest.approx(3.0, rel=1e-4)
    assert weights[0, 3, 3] / still == pytest.approx(1.0 + 0.5 * 32, rel=1e-2)
    plain = losses.movement_weights(change, boxes, 0.0, 0.0)
    np.testing.assert_allclose(plain, 1.0, rtol=1e-6)
