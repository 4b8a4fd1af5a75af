"""Reference picture and motion latent → the reference's person performing that motion.

    (1) f = flow(reference, m),    x̃(p) = reference(p + f(p))                        where each pixel comes from
    (2) x̂ = x̃ + change(x̃, m)                                                          what no pixel of the reference shows

First the reference is warped, which moves head and features with their own pixels; then a second network, looking at the
warped picture, paints what opens or closes: mouth, lids, what the head uncovers. The latent enters (1) as a coarse map and both
in every residual block. Warping by a latent follows LIA (arXiv 2203.09043). Flow and change start at zero: before training, the
answer is the reference.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.layers.convolution import ResidualBlock, Upsample, depth_to_space, group_norm, space_to_depth, zero_conv
from xactor_jax.motion.trunk import NORM_GROUPS, Trunk

MAP_CHANNELS = 32
EMBEDDING_WIDTH = 128


class MotionDecoder(nn.Module):
    """A way down over the reference, a way up under the latent that yields the flow, and a refinement of the warped picture."""

    patch: int
    widths: tuple[int, ...]
    blocks: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, reference: Float[Array, "b h w 3"], latents: Float[Array, "b d"]) -> Float[Array, "b h w 3"]:
        features = Trunk(self.patch, self.widths, self.blocks, self.dtype, name="appearance")(reference)
        embedding = nn.Dense(EMBEDDING_WIDTH, dtype=self.dtype, name="embed_latent")(latents)
        x = jnp.concatenate([self._motion_map(latents, features[-1]), features[-1]], -1)
        for level in reversed(range(len(self.widths))):
            x = self._blocks(x, embedding, level, "flow")
            if level:
                x = Upsample(self.widths[level - 1], dtype=self.dtype, name=f"up_{level}")(x)
                x = jnp.concatenate([x, features[level - 1]], -1)
        flow = self.patch * zero_conv(2, name="to_flow")(x.astype(jnp.float32))
        warped = warp(reference, jax.image.resize(flow, (*reference.shape[:3], 2), "linear"))
        x = jnp.concatenate([x, space_to_depth(warped, self.patch)], -1)
        x = self._blocks(x, embedding, 0, "refine")
        x = nn.silu(group_norm(NORM_GROUPS, name="norm")(x)).astype(jnp.float32)
        return warped + depth_to_space(zero_conv(3 * self.patch**2, name="to_change")(x), self.patch)

    def _blocks(self, x: jax.Array, embedding: jax.Array, level: int, part: str) -> jax.Array:
        """A convolution to the level's width, then residual blocks under the latent."""
        x = nn.Conv(self.widths[level], (3, 3), dtype=self.dtype, name=f"{part}_join_{level}")(x)
        for block in range(self.blocks):
            name = f"{part}_{level}_block_{block}"
            x = ResidualBlock(self.widths[level], NORM_GROUPS, dtype=self.dtype, name=name)(x, embedding)
        return x

    def _motion_map(self, latents: Float[Array, "b d"], like: Float[Array, "b h w c"]) -> Float[Array, "b h w m"]:
        _, height, width, _ = like.shape
        x = nn.Dense(height * width * MAP_CHANNELS, dtype=self.dtype, name="to_map")(latents)
        return nn.silu(x).reshape(-1, height, width, MAP_CHANNELS)


def warp(images: Float[Array, "b h w c"], flow: Float[Array, "b h w 2"]) -> Float[Array, "b h w c"]:
    """Equation (1): bilinear reading at p + flow(p), flow = (down, right) in pixels; outside the picture its edge is read."""
    b, h, w, c = images.shape
    y = jnp.clip(jnp.arange(h)[None, :, None] + flow[..., 0], 0.0, h - 1.0)
    x = jnp.clip(jnp.arange(w)[None, None, :] + flow[..., 1], 0.0, w - 1.0)
    top, left = jnp.minimum(jnp.floor(y), h - 2.0), jnp.minimum(jnp.floor(x), w - 2.0)
    pixels, corner = images.reshape(b, h * w, c), (top * w + left).astype(jnp.int32).reshape(b, h * w, 1)
    read = lambda offset: jnp.take_along_axis(pixels, corner + offset, axis=1).reshape(b, h, w, c)
    dy, dx = (y - top)[..., None], (x - left)[..., None]
    upper = (1 - dx) * read(0) + dx * read(1)
    lower = (1 - dx) * read(w) + dx * read(w + 1)
    return (1 - dy) * upper + dy * lower
