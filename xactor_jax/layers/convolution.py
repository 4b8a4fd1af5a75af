"""Convolutional blocks on channel-last images with any leading axes (batch, or batch and frames).

Every block processes each image separately. A clip [B, T, H, W, C] is processed frame by frame, also in the statistics of group
normalisation, so that an image network can process video without change.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.layers.factored import DoublingConv

Dtype = jnp.dtype | type | None


def space_to_depth(x: Float[Array, "*b h w c"], patch: int) -> Float[Array, "*b h2 w2 d"]:
    """Folds patches of `patch` × `patch` pixels into channels, in the order (row, column, channel)."""
    *lead, h, w, c = x.shape
    x = x.reshape(*lead, h // patch, patch, w // patch, patch, c)
    return jnp.swapaxes(x, -4, -3).reshape(*lead, h // patch, w // patch, patch * patch * c)


def patches(x: Float[Array, "n h w c"], patch: int) -> Float[Array, "n h2 w2 d"]:
    """`space_to_depth` as a convolution with a kernel of ones and zeros, for the output of a warp.

    XLA on a CPU joins a warp with the transposition of `space_to_depth` into one slow loop (26 instead of 18 ms for 18 pictures
    of 128 pixels). It computes the input of a convolution by itself.
    """
    channels = patch * patch * x.shape[-1]
    kernel = jnp.eye(channels, dtype=x.dtype).reshape(patch, patch, x.shape[-1], channels)
    return jax.lax.conv_general_dilated(x, kernel, (patch, patch), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def depth_to_space(x: Float[Array, "*b h w d"], patch: int) -> Float[Array, "*b h2 w2 c"]:
    """Inverse of `space_to_depth`."""
    *lead, h, w, d = x.shape
    x = x.reshape(*lead, h, w, patch, patch, d // patch**2)
    return jnp.swapaxes(x, -4, -3).reshape(*lead, h * patch, w * patch, d // patch**2)


def average_pool(x: Float[Array, "*b h w c"], factor: int = 2) -> Float[Array, "*b h2 w2 c"]:
    """Means over non-overlapping squares of `factor` pixels."""
    *lead, h, w, c = x.shape
    return x.reshape(*lead, h // factor, factor, w // factor, factor, c).mean(axis=(-4, -2))


def group_norm(groups: int, epsilon: float = 1e-5, dtype: Dtype = None, name: str | None = None) -> nn.GroupNorm:
    """Group normalisation with statistics over one image and one group of channels, reduced in float32."""
    return nn.GroupNorm(num_groups=groups, epsilon=epsilon, reduction_axes=(-3, -2, -1), dtype=dtype, name=name)


def zero_conv(channels: int, kernel: int = 3, dtype: Dtype = None, name: str | None = None) -> nn.Conv:
    """Convolution that starts at zero, so that the branch that it ends adds nothing at first."""
    return nn.Conv(channels, (kernel, kernel), kernel_init=nn.initializers.zeros, dtype=dtype, name=name)


class ResidualBlock(nn.Module):
    """norm → SiLU → 3×3 → (+ embedding) → norm → SiLU → 3×3, plus the input (through 1×1 if the channels change).

    The ResNet block of latent diffusion (Rombach et al. 2022, after Ho et al. 2020). The last convolution starts at zero.
    """

    channels: int
    groups: int = 32
    epsilon: float = 1e-5
    dtype: Dtype = None

    @nn.compact
    def __call__(self, x: Float[Array, "*b h w c"], embedding: Float[Array, "n e"] | None = None) -> Float[Array, "*b h w d"]:
        """The embedding has one row for each entry of x's first axis, so the frames of a window share it."""
        h = jax.nn.silu(group_norm(self.groups, self.epsilon, self.dtype, "norm1")(x))
        h = nn.Conv(self.channels, (3, 3), dtype=self.dtype, name="conv1")(h)
        if embedding is not None:
            shift = nn.Dense(self.channels, dtype=self.dtype, name="embedding")(jax.nn.silu(embedding))
            h = h + shift.reshape(shift.shape[0], *(1,) * (h.ndim - 2), self.channels)
        h = jax.nn.silu(group_norm(self.groups, self.epsilon, self.dtype, "norm2")(h))
        h = zero_conv(self.channels, dtype=self.dtype, name="conv2")(h)
        if x.shape[-1] != self.channels:
            x = nn.Conv(self.channels, (1, 1), dtype=self.dtype, name="shortcut")(x)
        return x + h


class Downsample(nn.Module):
    """3×3 convolution of stride 2.

    `asymmetric` pads only below and to the right, as Stable Diffusion's autoencoder does. Its UNet pads on all sides.
    """

    channels: int
    asymmetric: bool = False
    dtype: Dtype = None

    @nn.compact
    def __call__(self, x: Float[Array, "*b h w c"]) -> Float[Array, "*b h2 w2 d"]:
        padding = ((0, 1), (0, 1)) if self.asymmetric else ((1, 1), (1, 1))
        return nn.Conv(self.channels, (3, 3), strides=(2, 2), padding=padding, dtype=self.dtype, name="conv")(x)


class Upsample(nn.Module):
    """Nearest-neighbour doubling, then a 3×3 convolution."""

    channels: int
    dtype: Dtype = None

    @nn.compact
    def __call__(self, x: Float[Array, "*b h w c"]) -> Float[Array, "*b h2 w2 d"]:
        return DoublingConv(self.channels, self.dtype, name="conv")(x)
