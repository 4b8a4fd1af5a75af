"""The convolutional block that BlazeFace (arXiv 1907.05047, figure 1) and Face Mesh (arXiv 1907.06724) share.

Pictures are padded as by TensorFlow's SAME: a convolution of stride two begins at the first pixel.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

KERNEL = 3
"""Side of a depthwise kernel, pixels."""


class Depthwise(nn.Module):
    """A 3×3 kernel for every channel, as a sum of nine shifted pictures. On a CPU this is faster than a grouped convolution."""

    stride: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
        """Height and width must be multiples of the stride."""
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (KERNEL, KERNEL, x.shape[-1]))
        (_, height, width, _), step = x.shape, self.stride
        before = 1 if step == 1 else 0
        x = jnp.pad(x, ((0, 0), (before, 1), (before, 1), (0, 0)))
        shifted = lambda i, j: x[:, i : i + height : step, j : j + width : step]
        return sum(shifted(i, j) * kernel[i, j] for i in range(KERNEL) for j in range(KERNEL))


class Slope(nn.Module):
    """PReLU: negative values are scaled by a learned factor for each channel."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        factor = self.param("factor", nn.initializers.zeros, x.shape[-1:])
        return jnp.where(x >= 0, x, factor * x)


class Block(nn.Module):
    """activation(x + pointwise(depthwise(x))). With stride two, x is max-pooled; new channels of x are zeros."""

    features: int
    stride: int = 1
    slopes: bool = False  # PReLU, not ReLU

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        change = nn.Dense(self.features, name="pointwise")(Depthwise(self.stride, name="depthwise")(x))
        if self.stride > 1:
            x = nn.max_pool(x, (self.stride, self.stride), (self.stride, self.stride))
        y = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.features - x.shape[-1]))) + change
        return Slope(name="slope")(y) if self.slopes else nn.relu(y)
