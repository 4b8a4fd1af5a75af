"""Adaptive layer normalisation: a condition scales, shifts and gates what a block does to each token.

(1)  modulate(x, shift, scale) = LN(x) (1 + scale) + shift                             Peebles & Xie 2023 (DiT, adaLN-zero)
(2)  block:  x <- x + gate f(modulate(x)); gates are zero at the start, so that every block starts as the identity
(3)  (shift, scale, gate) of block b = linear(SiLU(c)) + table_b: all blocks share one linear map, and each has its own table
                                                                                       Chen et al. 2023 (PixArt-alpha)
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.layers.convolution import Dtype


def layer_norm(x: Float[Array, "*lead width"], epsilon: float = 1e-6) -> Float[Array, "*lead width"]:
    """Layer normalisation without learned scale. Statistics are in float32, and the result has the dtype of `x`."""
    h = x.astype(jnp.float32)
    h = h - h.mean(axis=-1, keepdims=True)
    return (h * jnp.reciprocal(jnp.sqrt(jnp.mean(h * h, axis=-1, keepdims=True) + epsilon))).astype(x.dtype)


def modulate(
    x: Float[Array, "*lead width"], shift: Float[Array, "*lead width"], scale: Float[Array, "*lead width"]
) -> Float[Array, "*lead width"]:
    """Shifts and scales normalised tokens (equation 1)."""
    return layer_norm(x) * (1.0 + scale) + shift


class SharedModulation(nn.Module):
    """The shared linear map of (3), zero at the start: [*lead, width] → [*lead, parts, width]."""

    parts: int
    dtype: Dtype = None

    @nn.compact
    def __call__(self, c: Float[Array, "*lead width"]) -> Float[Array, "*lead parts width"]:
        width = c.shape[-1]
        zeros = nn.initializers.zeros
        h = nn.Dense(self.parts * width, kernel_init=zeros, dtype=self.dtype, name="all")(nn.silu(c))
        return h.reshape(*c.shape[:-1], self.parts, width)


class ModulationTable(nn.Module):
    """The table of one block of (3), zero at the start. Returns `parts` arrays [*lead, width]."""

    @nn.compact
    def __call__(self, shared: Float[Array, "*lead parts width"]) -> list[Float[Array, "*lead width"]]:
        table = self.param("table", nn.initializers.zeros, shared.shape[-2:]).astype(shared.dtype)
        return [shared[..., i, :] + table[i] for i in range(shared.shape[-2])]
