from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from xactor_jax.motion import pictures


def test_pixels_span_minus_one_to_one():
    np.testing.assert_allclose(pictures.to_float(np.array([0, 51, 255], np.uint8)), [-1, -0.6, 1], atol=1e-6)


def test_pictures_are_brought_to_size(rng):
    images = rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    small = pictures.fit_size(images, 16)
    np.testing.assert_allclose(small, images.reshape(2, 16, 2, 16, 2, 3).mean((2, 4)), atol=0.51)
    assert pictures.fit_size(images, 32) is images


def test_latents_do_not_depend_on_the_batches(models, rng):
    images = rng.integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
    whole = jax.jit(models.motion.model.encode)(models.motion.variables, jnp.asarray(images / 127.5 - 1, jnp.float32))
    encode = pictures.frame_encoder(models.motion.model, models.motion.variables, batch_size=3)
    np.testing.assert_allclose(encode(images), whole, atol=1e-5)
