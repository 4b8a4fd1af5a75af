"""The unit of which both Inception networks consist."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from xactor_jax.layers.batch_norm import FrozenBatchNorm

EPSILON = 1e-3
PRECISION = jax.lax.Precision.HIGHEST
"""Accelerators would round the factors of products in float32, which moves a published number."""


class ConvUnit(nn.Module):
    """Convolution over pixels or over frames and pixels, batch normalisation, rectification. Padding is TensorFlow's."""

    width: int
    kernel: Sequence[int]
    strides: Sequence[int] | int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x: Float[Array, "n *space c"]) -> Float[Array, "n *smaller width"]:
        conv = nn.Conv(self.width, self.kernel, self.strides, self.padding, use_bias=False, precision=PRECISION, name="conv")
        return nn.relu(FrozenBatchNorm(EPSILON, name="norm")(conv(x)))
