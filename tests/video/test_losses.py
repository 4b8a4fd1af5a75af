from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.video import losses


def test_pixel_losses(rng):
    a, b = rng.normal(size=(2, 2, 4, 4, 3)).astype(np.float32)
    assert losses.pixel_loss(jnp.asarray(a), jnp.asarray(b), "l1") == pytest.approx(np.abs(a - b).mean(), rel=1e-5)
    assert losses.pixel_loss(jnp.asarray(a), jnp.asarray(b), "mse") == pytest.approx(((a - b) ** 2).mean(), rel=1e-5)


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
