"""The convolutional trunk that the motion VAE's encoder and decoder share."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.layers.convolution import Downsample, ResidualBlock, space_to_depth
from xactor_jax.layers.remat import rematerialised

NORM_GROUPS = 8


class Trunk(nn.Module):
    """From a picture to features at every resolution, finest first. It starts with patches, so that convolutions are cheap."""

    patch: int
    widths: tuple[int, ...]
    blocks: int
    dtype: Any = jnp.float32
    remat: str = "none"

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"]) -> list[jax.Array]:
        x, features = space_to_depth(images, self.patch), []
        for level, width in enumerate(self.widths):
            enter = Downsample(width, dtype=self.dtype, name=f"down_{level}") if level else self._first(width)
            x = enter(x)
            for block in range(self.blocks):
                name = f"level_{level}_block_{block}"
                x = rematerialised(ResidualBlock, self.remat)(width, NORM_GROUPS, dtype=self.dtype, name=name)(x)
            features.append(x)
        return features

    def _first(self, width: int) -> nn.Conv:
        return nn.Conv(width, (3, 3), dtype=self.dtype, name="from_patches")
