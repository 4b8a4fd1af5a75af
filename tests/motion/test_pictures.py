from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from tests.tiny import tiny_config, tiny_variables
from xactor_jax.motion import pictures
from xactor_jax.motion.model import MotionModel


def test_pictures_are_brought_to_size(rng):
    images = rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    small = pictures.fit_size(images, 16)
    np.testing.assert_allclose(small, images.reshape(2, 16, 2, 16, 2, 3).mean((2, 4)), atol=0.51)
    assert pictures.fit_size(images, 32) is images


def test_latents_do_not_depend_on_the_batches(rng):
    config = tiny_config("motion")
    model, variables = MotionModel.from_config(config), tiny_variables(config)
    images = rng.integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
    whole = jax.jit(model.encode)(variables, jnp.asarray(images / 127.5 - 1, jnp.float32))
    encode = pictures.frame_encoder(model, variables, batch_size=3)
    np.testing.assert_allclose(encode(images), whole, atol=1e-5)
