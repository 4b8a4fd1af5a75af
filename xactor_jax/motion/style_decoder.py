"""Style decoder: from a reference picture and a motion latent to a newly painted picture of the same person with that motion.

    (1) F_0 … F_L = appearance(reference)                         features at every resolution, finest first
    (2) z = M(m)                                                  two layers on the motion latent
    (3) x_L = G_L([c, F_L]; z),   x_l = G_l([↑x_{l+1}, F_l]; z)   G: convolutions modulated by z; c: learned, constant
    (4) y_L = R_L(x_L; z),   y_l = ↑y_{l+1} + R_l(x_l; z),   x̂ = y_0

The motion latent has no spatial layout. It modulates how each channel uses the appearance. X-NeMo trains its motion encoder
with such an image decoder beside the renderer (arXiv 2507.23143). The generator is that of StyleGAN2 (arXiv 1912.04958), where
the skips R sum up to the picture, but without its noise, because the decoder must reconstruct a frame. ↑ is bilinear. With
`patch` above 1, the finest features are those of patches, and R gives the pixels of a patch.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.layers.convolution import depth_to_space
from xactor_jax.layers.factored import each_repeated
from xactor_jax.layers.remat import rematerialised
from xactor_jax.layers.style import ModulatedConv, doubled, rectified
from xactor_jax.motion.trunk import Trunk


class StyleDecoder(nn.Module):
    """Appearance encoder and style-modulated generator. Sides must be multiples of patch × 2^(levels − 1)."""

    patch: int
    widths: tuple[int, ...]
    blocks: int
    dtype: Any = jnp.float32
    remat: str = "none"
    """What the backward pass of the blocks computes again: a choice of `xactor_jax.layers.remat`."""

    @nn.compact
    def __call__(self, reference: Float[Array, "b h w 3"], latents: Float[Array, "n d"]) -> Float[Array, "n h w 3"]:
        """The pictures x̂, n / b of each reference in turn."""
        features = Trunk(self.patch, self.widths, self.blocks, self.dtype, self.remat, name="appearance")(reference)
        features = [each_repeated(x, len(latents)) for x in features]
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
        """The style z (equation 2)."""
        for layer in range(2):
            latents = rectified(nn.Dense(latents.shape[-1], name=f"map_latent_{layer}")(latents))
        return latents

    def _constant(self, like: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """The learned constant c of equation 3, which gives the coarsest cells their position."""
        constant = self.param("constant", nn.initializers.normal(1.0), like.shape[1:])
        return jnp.broadcast_to(constant.astype(like.dtype), like.shape)

    def _pixels(self, x: Float[Array, "b h w c"], style: Float[Array, "b d"], level: int) -> Float[Array, "b h2 w2 3"]:
        """R of equation 4. It is not demodulated, so that the contrast of a picture is free."""
        conv = ModulatedConv(3 * self.patch**2, kernel=1, demodulate=False, name=f"level_{level}_to_picture")
        return depth_to_space(conv(x.astype(jnp.float32), style), self.patch)
