"""Patch discriminator, which judges whether each region of a face crop is real. Feature matching uses its inner features."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.layers.convolution import space_to_depth
from xactor_jax.layers.picture_losses import fine_detail


class PatchDiscriminator(nn.Module):
    """Strided convolutions over patches. It has no normalisation, which would mix statistics of real and generated pictures."""

    patch: int
    widths: tuple[int, ...]
    dtype: Any = jnp.float32
    detail: float = 0.0
    """If above 0, the input has three more channels: the picture's fine detail, amplified by this factor. Fine detail is so
    weak that convolutions of the picture alone hardly notice when it is missing."""

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"]) -> tuple[jax.Array, list[jax.Array]]:
        """Logits [b, h', w', 1] and the features of every level."""
        seen = jnp.concatenate([images, self.detail * fine_detail(images)], -1) if self.detail else images
        x, features = space_to_depth(seen, self.patch), []
        for level, width in enumerate(self.widths):
            stride = 1 if level == 0 else 2
            x = nn.Conv(width, (3, 3), strides=stride, dtype=self.dtype, name=f"conv_{level}")(x)
            x = nn.leaky_relu(x, 0.2)
            features.append(x)
        return nn.Conv(1, (1, 1), name="to_logits")(x.astype(jnp.float32)), features
