"""KL divergence and running statistics of learned latents.

    (1) KL(N(μ, σ²) ‖ N(0, 1)) = ½ (μ² + σ² − 1 − log σ²)
    (2) m ← m + (1 − d) (x̄ − m),   d = min(decay, n / (n + 1))        m: running moment after n batches, x̄: that of the next

(1) is the distance of an autoencoder's posterior from the prior (Kingma & Welling 2014, eq. 10). In (2), d rises from 0, so
that the first batches have equal weights and the initial value has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num


def kl_to_standard_normal(mean: Float[Array, "*shape"], log_variance: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """KL divergence of each number, in nats (equation 1)."""
    return 0.5 * (mean**2 + jnp.exp(log_variance) - 1.0 - log_variance)


def running_moment(
    old: Float[ArrayLike, "*shape"], new: Float[Array, "*shape"], count: Num[ArrayLike, ""], decay: float
) -> Float[Array, "*shape"]:
    """Updates a running moment after n = `count` batches (equation 2)."""
    return jnp.asarray(old) + (1.0 - jnp.minimum(decay, count / (count + 1.0))) * (new - old)


def kept_statistics(buffers: Mapping[str, Any]) -> dict[str, Any]:
    """The moments of latents among a checkpoint's buffers. Other buffers are only needed in training."""
    return {name: value for name, value in buffers.items() if name.startswith("latent_")}
