"""Losses of the motion VAE's latents. Losses of its pictures are in `xactor_jax.layers`.

    (1) L_KL    = Σ_d KL(N(μ_d, σ_d²) ‖ N(0, 1)),   equation 1 of `xactor_jax.layers.latents`
    (2) L_truth = mean over known a_k of ((r_k(μ) − a_k) / s_k)²,   r: linear map, s_k: standard deviation of a_k in the corpus

(2) is for rendered frames, whose controls and expression units a are known. It gives small movements that hardly change the
pixels, such as those of the lids, the same weight as large ones. Frames without known values do not count in (2).
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.layers.latents import kl_to_standard_normal


def kl_divergence(mean: Float[Array, "batch d"], log_variance: Float[Array, "batch d"]) -> Float[Array, ""]:
    """KL divergence in nats per latent, averaged over the batch (equation 1)."""
    return kl_to_standard_normal(mean, log_variance).sum(-1).mean()


def truth_loss(
    read: Float[Array, "batch k"], truth: Float[Array, "batch k"], known: Float[Array, "batch k"], std: Float[Array, "k"]
) -> Float[Array, ""]:
    """Loss of the linear map (equation 2). `known` is 1 where `truth` holds a true value, and 0 elsewhere."""
    squared = known * ((read - truth) / std) ** 2
    return squared.sum() / jnp.maximum(known.sum(), 1.0)
