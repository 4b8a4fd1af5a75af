"""Batch normalisation with fixed statistics, as in a trained network that is only used."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class FrozenBatchNorm(nn.Module):
    """y = scale · (x − mean) / √(variance + ε) + bias; the statistics are parameters without a gradient.

    `xactor_jax/pretrained/name_map.py:batch_norm` imports them.
    """

    epsilon: float = 1e-5
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
        ones, zeros = nn.initializers.ones, nn.initializers.zeros
        starts = {"scale": ones, "bias": zeros, "mean": zeros, "variance": ones}
        scale, bias, mean, variance = (self.param(name, start, x.shape[-1:]) for name, start in starts.items())
        slope = scale * jax.lax.rsqrt(jax.lax.stop_gradient(variance) + self.epsilon)
        offset = bias - jax.lax.stop_gradient(mean) * slope
        return (x.astype(jnp.float32) * slope + offset).astype(self.dtype)
