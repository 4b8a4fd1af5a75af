"""Reference picture and motion latent → the reference's person performing that motion, painted anew.

    (1) F_0 … F_L = appearance(reference)                         features at every resolution, finest first
    (2) z = M(m)                                                  two layers on the motion latent
    (3) x_L = G_L([c, F_L]; z),   x_l = G_l([↑x_{l+1}, F_l]; z)   G: convolutions modulated by z; c: learned, constant
    (4) y_L = R_L(x_L; z),   y_l = ↑y_{l+1} + R_l(x_l; z),   x̂ = y_0

The motion has no spatial layout: it chooses, channel by channel, what is done with the appearance. Such an image decoder stands
beside X-NeMo's renderer when its motion encoder is trained (arXiv 2507.23143). It is a generator like StyleGAN2's (arXiv
1912.04958) whose skips R sum up to the picture; without its noise, for a frame is to be rebuilt. ↑ is bilinear. With `patch`
above 1 the finest features are of patches, and R gives the pixels of a patch.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.layers.convolution import depth_to_space
from xactor_jax.layers.remat import rematerialised
from xactor_jax.layers.style import ModulatedConv, doubled, rectified
from xactor_jax.motion.trunk import Trunk


class StyleDecoder(nn.Module):
    """An appearance encoder and a style-modulated generator over it; sides are multiples of patch × 2^(levels − 1)."""

    patch: int
    widths: tuple[int, ...]
    blocks: int
    dtype: Any = jnp.float32
    remat: str = "none"
    """What the blocks' backward pass computes again, of `xactor_jax.layers.remat`."""

    @nn.compact
    def __call__(self, reference: Float[Array, "b h w 3"], latents: Float[Array, "b d"]) -> Float[Array, "b h w 3"]:
        features = Trunk(self.patch, self.widths, self.blocks, self.dtype, self.remat, name="appearance")(reference)
        style, x, picture = self._style(latents), self._constant(features[-1]), jnp.zeros(())
        for level in reversed(range(len(self.widths))):
            x = jnp.concatenate([x, features[level]], -1)
            for block in range(1 + self.blocks):
                conv = rematerialised(ModulatedConv, self.remat)
                x = rectified(conv(self.widths[level], dtype=self.dtype, name=f"level_{level}_conv_{block}")(x, style))
            picture = picture + self._pixels(x, style, level)
            if level:
                x, picture = doubled(x), doubled(picture)
        return picture

    def _style(self, latents: Float[Array, "b d"]) -> Float[Array, "b d"]:
        """Equation (2)."""
        for layer in range(2):
            latents = rectified(nn.Dense(latents.shape[-1], name=f"map_latent_{layer}")(latents))
        return latents

    def _constant(self, like: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """c of equation (3), by which the coarsest cells know where they are."""
        constant = self.param("constant", nn.initializers.normal(1.0), like.shape[1:])
        return jnp.broadcast_to(constant.astype(like.dtype), like.shape)

    def _pixels(self, x: Float[Array, "b h w c"], style: Float[Array, "b d"], level: int) -> Float[Array, "b h2 w2 3"]:
        """R of equation (4), not demodulated: a picture's contrast is its own."""
        conv = ModulatedConv(3 * self.patch**2, kernel=1, demodulate=False, name=f"level_{level}_to_picture")
        return depth_to_space(conv(x.astype(jnp.float32), style), self.patch)
