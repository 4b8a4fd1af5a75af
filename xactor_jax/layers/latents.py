"""What every learned latent is held to and standardised by.

    (1) KL(N(μ, σ²) ‖ N(0, 1)) = ½ (μ² + σ² − 1 − log σ²)
    (2) m ← m + (1 − d) (x̄ − m),   d = min(decay, n / (n + 1))        a running moment m after n batches, x̄ that of the next

(1) Kingma & Welling 2014, eq. 10: how far the posterior of an autoencoder is from the prior that is sampled. In (2) d rises
from 0, so that the first batches are averaged alike and the value before them is forgotten at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num


def kl_to_standard_normal(mean: Float[Array, "*shape"], log_variance: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Equation (1) of each number, in nats."""
    return 0.5 * (mean**2 + jnp.exp(log_variance) - 1.0 - log_variance)


def running_moment(
    old: Float[ArrayLike, "*shape"], new: Float[Array, "*shape"], count: Num[ArrayLike, ""], decay: float
) -> Float[Array, "*shape"]:
    """Equation (2), n = `count`."""
    return old + (1.0 - jnp.minimum(decay, count / (count + 1.0))) * (new - old)


def kept_statistics(buffers: Mapping[str, Any]) -> dict[str, Any]:
    """The moments of latents, of the buffers of a checkpoint: all that is more than a help in training."""
    return {name: value for name, value in buffers.items() if name.startswith("latent_")}
