"""The patch discriminator's further input: fine detail, amplified."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.layers.discriminator import PatchDiscriminator


@pytest.fixture(scope="module")
def deaf_to_pictures():
    """Parameters whose first layer reads nothing of the picture itself, only its fine detail."""
    network = PatchDiscriminator(4, (8, 8), detail=5.0)
    params = jax.jit(network.init)(jax.random.key(0), jnp.zeros((1, 16, 16, 3)))["params"]
    first = params["conv_0"]
    kernel = np.array(first["kernel"])
    assert kernel.shape[2] == 4 * 4 * 6  # pixels of a patch, each with three colours and their detail
    kernel[:, :, np.arange(96) % 6 < 3] = 0.0
    return {"params": {**params, "conv_0": {**first, "kernel": kernel}}}


def test_fine_detail_is_seen_apart_from_the_picture_and_amplified(deaf_to_pictures, rng):
    x = jnp.asarray(rng.uniform(-1, 1, (2, 16, 16, 3)), jnp.float32)
    logits = lambda images, detail: jax.jit(PatchDiscriminator(4, (8, 8), detail=detail).apply)(deaf_to_pictures, images)[0]
    np.testing.assert_allclose(logits(x, 5.0), logits(x / 2, 10.0), atol=1e-5)
    assert np.abs(logits(x, 5.0) - logits(x / 2, 5.0)).max() > 1e-3
    np.testing.assert_allclose(logits(x, 5.0), logits(x + 0.5, 5.0), atol=1e-5)  # brightness is no detail
