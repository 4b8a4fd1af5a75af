"""Batch normalisation of released networks, with the statistics that were released.

    y = scale · (x − mean) / √(variance + ε) + bias                                        Ioffe & Szegedy 2015

Mean and variance are parameters without gradients. They are constants of the network: a batch of pictures from another corpus,
or on another number of devices, must not change them.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class FrozenBatchNorm(nn.Module):
    """Batch normalisation with fixed statistics, for any number of axes before the channels."""

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
