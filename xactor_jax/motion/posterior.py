"""Gaussian over one motion latent, the output of every encoder.

(1) q(m | x) = N(μ(x), diag σ²(x)),   m = μ + σ ⊙ ε,  ε ~ N(0, I)        Kingma & Welling 2014, eq. 9
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

LOG_VARIANCE_BOUND = 8.0


class Posterior(NamedTuple):
    """Diagonal Gaussian over latents [batch, D]. Without a variance, the mean is the latent itself."""

    mean: jax.Array
    log_variance: jax.Array | None = None

    def sample(self, key: jax.Array) -> jax.Array:
        """A random sample (equation 1); the mean if there is no variance."""
        if self.log_variance is None:
            return self.mean
        return self.mean + jnp.exp(0.5 * self.log_variance) * jax.random.normal(key, self.mean.shape)


def bounded(log_variance: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """Limits the log variance smoothly to ± 8."""
    return LOG_VARIANCE_BOUND * jnp.tanh(log_variance / LOG_VARIANCE_BOUND)
