"""Warping decoder: from a reference picture and a motion latent to a picture of the same person with that motion.

    (1) f = flow(reference, m),    x̃(p) = reference(p + f(p))                        moves pixels of the reference
        f ← f + correction(x̃, m),  x̃(p) = reference(p + f(p))                        `flows` − 1 times
    (2) y = x̃ + change(x̃, m)                                                          adds what the reference does not show
    (3) x̂ = reference + g (y − reference),   0 ≤ g(x̃, m) ≤ 1                            limits the change to where it is needed

First, the reference is warped, so that head and features keep their own pixels. Then another network, which reads the warped
picture, paints what opens or closes: mouth, lids, and what the head uncovers. The latent enters (1) as a coarse map, and both
networks in every residual block. Warping by a latent follows LIA (arXiv 2203.09043). Flow and change start at zero, so an
untrained decoder returns the reference. Without `gate`, g is 1. With it, regions without motion keep the reference's own pixels
and their noise, which a network would smooth away.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.layers.convolution import ResidualBlock, Upsample, depth_to_space, group_norm, patches, zero_conv
from xactor_jax.layers.factored import JoiningConv, each_repeated
from xactor_jax.layers.remat import rematerialised
from xactor_jax.layers.warp import warp
from xactor_jax.motion.trunk import NORM_GROUPS, Trunk

MAP_CHANNELS = 32
EMBEDDING_WIDTH = 128


class MotionDecoder(nn.Module):
    """Encodes the reference, decodes the flow under the latent, and refines the warped picture."""

    patch: int
    widths: tuple[int, ...]
    blocks: int
    fine_flow: bool
    """Whether every pixel has its own flow; else every patch has one, which is interpolated between the centres of patches."""
    gate: bool
    cubic: bool
    """Whether the warp interpolates between pixels of the reference cubically, not linearly."""
    flows: int
    """How often the flow is predicted: first from the features, then corrected after a look at the warped picture."""
    refine_blocks: int
    """Residual blocks that paint the change and the gate; 0: `blocks`."""
    dtype: Any = jnp.float32
    remat: str = "none"
    """What the backward pass of the blocks computes again: a choice of `xactor_jax.layers.remat`."""

    @nn.compact
    def __call__(self, reference: Float[Array, "b h w 3"], latents: Float[Array, "n d"]) -> Float[Array, "n h w 3"]:
        """The pictures x̂, n / b of each reference in turn. With `gate`, also sows g as the intermediate "gate"."""
        features = Trunk(self.patch, self.widths, self.blocks, self.dtype, self.remat, name="appearance")(reference)
        reference = each_repeated(reference, len(latents))
        embedding = nn.Dense(EMBEDDING_WIDTH, dtype=self.dtype, name="embed_latent")(latents)
        x = self._motion_map(latents, features[-1])
        for level in reversed(range(len(self.widths))):
            x = self._blocks(x, features[level], embedding, level, "flow")
            if level:
                x = Upsample(self.widths[level - 1], dtype=self.dtype, name=f"up_{level}")(x)
        flow = self._flow(x.astype(jnp.float32), reference.shape)
        warped = warp(reference, flow, self.cubic)
        for i in range(1, self.flows):
            seen = patches(jax.lax.stop_gradient(warped), self.patch)  # only to look at: the gradient of a warp is slow
            y = self._blocks(x, seen, embedding, 0, f"correct_{i}")
            flow += self._flow(y.astype(jnp.float32), reference.shape, f"correct_{i}_")
            warped = warp(reference, flow, self.cubic)
        x = self._blocks(x, patches(warped, self.patch), embedding, 0, "refine", self.refine_blocks)
        x = nn.silu(group_norm(NORM_GROUPS, name="norm")(x)).astype(jnp.float32)
        painted = warped + self._pixels(x, 3, "to_change")
        if not self.gate:
            return painted
        g = gate_value(self._pixels(x, 1, "to_gate"))
        self.sow("intermediates", "gate", g)
        return reference + g * (painted - reference)

    def _flow(self, x: Float[Array, "b h w c"], shape: tuple[int, ...], part: str = "") -> Float[Array, "b h2 w2 2"]:
        """The flow f, or a correction of it, in pixels, for a picture of `shape`."""
        flow = jax.image.resize(self.patch * zero_conv(2, name=f"{part}to_flow")(x), (*shape[:3], 2), "linear")
        return flow + self._pixels(x, 2, f"{part}to_fine_flow") if self.fine_flow else flow

    def _pixels(self, x: Float[Array, "b h w c"], channels: int, name: str) -> Float[Array, "b h2 w2 d"]:
        """A convolution to pixels that starts at zero."""
        return depth_to_space(zero_conv(channels * self.patch**2, name=name)(x), self.patch)

    def _blocks(
        self, x: jax.Array, other: jax.Array, embedding: jax.Array, level: int, part: str, blocks: int = 0
    ) -> jax.Array:
        """A convolution of both to the level's width, then residual blocks, which take the latent as their embedding."""
        x = JoiningConv(self.widths[level], self.dtype, name=f"{part}_join_{level}")(x, other)
        for block in range(blocks or self.blocks):
            name, block_class = f"{part}_{level}_block_{block}", rematerialised(ResidualBlock, self.remat)
            x = block_class(self.widths[level], NORM_GROUPS, dtype=self.dtype, name=name)(x, embedding)
        return x

    def _motion_map(self, latents: Float[Array, "n d"], like: Float[Array, "b h w c"]) -> Float[Array, "n h w m"]:
        _, height, width, _ = like.shape
        x = nn.Dense(height * width * MAP_CHANNELS, dtype=self.dtype, name="to_map")(latents)
        return nn.silu(x).reshape(-1, height, width, MAP_CHANNELS)


def gate_value(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """The gate g from the network's output x. It starts open, and can reach exactly 0 and 1."""
    return jnp.clip(1.2 * nn.sigmoid(x + 2.0) - 0.1, 0.0, 1.0)
