"""Reference picture and motion latent → the reference's person performing that motion.

The reference gives appearance at every resolution; the latent enters as a coarse map and in
every residual block. The
network predicts the change from the reference, and its last layer starts at zero: before training, the answer is the reference.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.layers.convolution import ResidualBlock, Upsample, depth_to_space, group_norm, zero_conv
from xactor_jax.motion.trunk import NORM_GROUPS, Trunk

MAP_CHANNELS = 32
EMBEDDING_WIDTH = 128


class MotionDecoder(nn.Module):
    """A U shape: down over the reference, up under the latent."""

    patch: int
    widths: tuple[int, ...]
    blocks: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, reference: Float[Array, "b h w 3"], latents: Float[Array, "b d"]) -> Float[Array, "b h w 3"]:
        features = Trunk(self.patch, self.widths, self.blocks, self.dtype, name="appearance")(reference)
        embedding = nn.Dense(EMBEDDING_WIDTH, dtype=self.dtype, name="embed_latent")(latents)
        x = self._motion_map(latents, features[-1])
        for level in reversed(range(len(self.widths))):
            x = jnp.concatenate([x, features[level]], -1)
            x = nn.Conv(self.widths[level], (3, 3), dtype=self.dtype, name=f"join_{level}")(x)
            for block in range(self.blocks):
                name = f"level_{level}_block_{block}"
                x = ResidualBlock(self.widths[level], NORM_GROUPS, dtype=self.dtype, name=name)(x, embedding)
            if level:
                x = Upsample(self.widths[level - 1], dtype=self.dtype, name=f"up_{level}")(x)
        x = nn.silu(group_norm(NORM_GROUPS, name="norm")(x)).astype(jnp.float32)
        change = zero_conv(3 * self.patch**2, name="to_change")(x)
        return reference + depth_to_space(change, self.patch)

    def _motion_map(self, latents: Float[Array, "b d"], like: Float[Array, "b h w c"]) -> Float[Array, "b h w m"]:
        _, height, width, _ = like.shape
        x = nn.Dense(height * width * MAP_CHANNELS, dtype=self.dtype, name="to_map")(latents)
        return nn.silu(x).reshape(-1, height, width, MAP_CHANNELS)
