from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from xactor_jax.layers.batch_norm import FrozenBatchNorm


def test_the_statistics_given_are_used_and_have_no_gradient(rng):
    x = rng.normal(size=(2, 3, 5)).astype(np.float32)
    scale, bias, mean, variance = rng.uniform(0.5, 2, (4, 5)).astype(np.float32)
    params = {"scale": scale, "bias": bias, "mean": mean, "variance": variance}
    apply = lambda params: FrozenBatchNorm().apply({"params": params}, jnp.asarray(x))
    np.testing.assert_allclose(apply(params), (x - mean) / np.sqrt(variance + 1e-5) * scale + bias, atol=1e-5)
    slopes = jax.grad(lambda params: apply(params).sum())(params)
    assert not slopes["mean"].any() and not slopes["variance"].any() and slopes["scale"].any()
