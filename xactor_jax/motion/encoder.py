"""Face crop → Gaussian over one motion latent.

    (1) q(m | x) = N(μ(x), diag σ²(x)),   m = μ + σ ⊙ ε,  ε ~ N(0, I)        Kingma & Welling 2014, eq. 9

The latent is one vector without spatial layout: a 1-D bottleneck passes motion and hardly any appearance (X-NeMo, arXiv
2507.23143). Positions of features matter, so the last feature map is flattened, not pooled.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.layers.convolution import group_norm
from xactor_jax.motion.trunk import NORM_GROUPS, Trunk

BOTTLENECK_CHANNELS = 32
LOG_VARIANCE_BOUND = 8.0


class Posterior(NamedTuple):
    """Diagonal Gaussian over latents [batch, D]."""

    mean: jax.Array
    log_variance: jax.Array

    def sample(self, key: jax.Array) -> jax.Array:
        """Equation (1)."""
        return self.mean + jnp.exp(0.5 * self.log_variance) * jax.random.normal(key, self.mean.shape)


class MotionEncoder(nn.Module):
    """Convolutional encoder; sides of the picture are multiples of patch × 2^(levels − 1)."""

    latent_dim: int
    patch: int
    widths: tuple[int, ...]
    blocks: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"]) -> Posterior:
        x = Trunk(self.patch, self.widths, self.blocks, self.dtype, name="trunk")(images)[-1]
        x = nn.silu(group_norm(NORM_GROUPS, name="norm")(x))
        x = nn.Conv(BOTTLENECK_CHANNELS, (1, 1), dtype=self.dtype, name="squeeze")(x)
        x = nn.silu(x).reshape(x.shape[0], -1).astype(jnp.float32)
        mean, log_variance = jnp.split(nn.Dense(2 * self.latent_dim, name="to_posterior")(x), 2, -1)
        return Posterior(mean, LOG_VARIANCE_BOUND * jnp.tanh(log_variance / LOG_VARIANCE_BOUND))
