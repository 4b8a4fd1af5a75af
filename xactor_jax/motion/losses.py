"""Losses of the motion VAE's latents; those of its pictures are in `xactor_jax.layers`.

    (1) L_KL    = ½ Σ_d (μ_d² + σ_d² − 1 − log σ_d²)
    (2) L_truth = mean over known a_k of ((r_k(μ) − a_k) / s_k)²,   r: a linear map, s_k: deviation of a_k over the corpus

(1) Kingma & Welling 2014, eq. 10. (2) is for frames that were rendered, whose controls and expression units a are known:
small movements that hardly change the pixels, such as those of lids, then count as much as large ones. Where nothing is known
of a frame, (2) says nothing about it.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def kl_divergence(mean: Float[Array, "batch d"], log_variance: Float[Array, "batch d"]) -> Float[Array, ""]:
    """Equation (1) in nats of one latent, averaged over the batch."""
    return 0.5 * (mean**2 + jnp.exp(log_variance) - 1.0 - log_variance).sum(-1).mean()


def truth_loss(
    read: Float[Array, "batch k"], truth: Float[Array, "batch k"], known: Float[Array, "batch k"], deviation: Float[Array, "k"]
) -> Float[Array, ""]:
    """Equation (2); `known` is 1 where `truth` is the truth, and 0 where there is none."""
    squared = known * ((read - truth) / deviation) ** 2
    return squared.sum() / jnp.maximum(known.sum(), 1.0)
