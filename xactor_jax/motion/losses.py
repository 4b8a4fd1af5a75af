"""Losses of the motion VAE's latents; those of its pictures are in `xactor_jax.layers`.

    (1) L_KL    = Σ_d KL(N(μ_d, σ_d²) ‖ N(0, 1)),   equation 1 of `xactor_jax.layers.latents`
    (2) L_truth = mean over known a_k of ((r_k(μ) − a_k) / s_k)²,   r: a linear map, s_k: deviation of a_k over the corpus

(2) is for frames that were rendered, whose controls and expression units a are known:
small movements that hardly change the pixels, such as those of lids, then count as much as large ones. Where nothing is known
of a frame, (2) says nothing about it.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.layers.latents import kl_to_standard_normal


def kl_divergence(mean: Float[Array, "batch d"], log_variance: Float[Array, "batch d"]) -> Float[Array, ""]:
    """Equation (1) in nats of one latent, averaged over the batch."""
    return kl_to_standard_normal(mean, log_variance).sum(-1).mean()


def truth_loss(
    read: Float[Array, "batch k"], truth: Float[Array, "batch k"], known: Float[Array, "batch k"], deviation: Float[Array, "k"]
) -> Float[Array, ""]:
    """Equation (2); `known` is 1 where `truth` is the truth, and 0 where there is none."""
    squared = known * ((read - truth) / deviation) ** 2
    return squared.sum() / jnp.maximum(known.sum(), 1.0)
