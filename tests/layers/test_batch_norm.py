"""Batch normalisation with fixed statistics, against its formula."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.layers.batch_norm import FrozenBatchNorm

NAMES = ("scale", "bias", "mean", "variance")


@pytest.mark.parametrize("epsilon", [1e-5, 1e-1])
def test_it_uses_the_statistics_it_is_given(rng, epsilon):
    x = jnp.asarray(rng.normal(size=(2, 3, 5)), jnp.float32)
    p = {name: rng.uniform(0.5, 2.0, 5).astype(np.float32) for name in NAMES}
    expected = (x - p["mean"]) / np.sqrt(p["variance"] + epsilon) * p["scale"] + p["bias"]
    np.testing.assert_allclose(FrozenBatchNorm(epsilon).apply({"params": p}, x), expected, atol=1e-5)


def test_only_scale_and_bias_have_gradients(rng):
    x = jnp.asarray(rng.normal(size=(2, 5)), jnp.float32)
    p = {name: jnp.asarray(rng.uniform(0.5, 2.0, 5), jnp.float32) for name in NAMES}
    gradient = jax.grad(lambda p: (FrozenBatchNorm().apply({"params": p}, x) ** 3).sum())(p)
    assert {name for name in NAMES if np.any(gradient[name])} == {"scale", "bias"}
