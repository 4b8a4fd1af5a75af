"""The small convolutional encoder: from a face crop to a Gaussian over one motion latent.

The latent is one vector without spatial layout. Such a bottleneck passes motion and hardly any appearance (X-NeMo, arXiv
2507.23143). The last feature map is flattened, not pooled, because the positions of features matter.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.layers.convolution import group_norm
from xactor_jax.motion.posterior import Posterior, bounded
from xactor_jax.motion.trunk import NORM_GROUPS, Trunk

BOTTLENECK_CHANNELS = 32


class MotionEncoder(nn.Module):
    """Convolutional encoder. The sides of the picture must be multiples of patch × 2^(levels − 1)."""

    latent_dim: int
    patch: int
    widths: tuple[int, ...]
    blocks: int
    variance: bool
    dtype: Any = jnp.float32
    remat: str = "none"
    """What the backward pass of the blocks computes again: a choice of `xactor_jax.layers.remat`."""

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"], train: bool = False) -> Posterior:
        x = Trunk(self.patch, self.widths, self.blocks, self.dtype, self.remat, name="trunk")(images)[-1]
        x = nn.silu(group_norm(NORM_GROUPS, name="norm")(x))
        x = nn.Conv(BOTTLENECK_CHANNELS, (1, 1), dtype=self.dtype, name="squeeze")(x)
        x = nn.silu(x).reshape(x.shape[0], -1).astype(jnp.float32)
        numbers = nn.Dense((1 + self.variance) * self.latent_dim, name="to_posterior")(x)
        mean, *log_variance = jnp.split(numbers, 1 + self.variance, -1)
        return Posterior(mean, *map(bounded, log_variance))
