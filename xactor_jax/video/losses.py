"""Losses of the autoencoder, and weights of the denoiser's error.

Autoencoder (Rombach et al. 2022; if no perceptual network is given, L_grad takes the place of its distance d):
    (1) L = L_pixels + w_g L_grad + w_p d(x̂, x) + w_kl KL
L_grad is equation 2 of picture_losses.py, and KL, the mean over the latent's entries, is equation 1 of latents.py, both in
`xactor_jax.layers`.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.layers.picture_losses import box_maps

Images = Float[Array, "*b h w c"]


def pixel_loss(prediction: Images, target: Images, kind: str) -> Float[Array, ""]:
    """Mean absolute ("l1") or squared ("mse") difference."""
    difference = prediction - target
    return jnp.mean(jnp.abs(difference) if kind == "l1" else difference**2)


def movement_weights(
    change: Float[Array, "b t h w c"], boxes: Float[Array, "b t n 4"], box_weight: float, change_weight: float
) -> Float[Array, "b t h w 1"]:
    """Weight of each latent cell: larger inside eyes and mouth, and where the frame differs from the reference.

    1 + box_weight · [inside] + change_weight · |change| / mean|change|, scaled to a mean of one over each window, so that the
    weights do not change the size of the loss.
    """
    size = jnp.mean(jnp.abs(change), axis=-1)
    relative = size / (jnp.mean(size, axis=(1, 2, 3), keepdims=True) + 1e-6)
    inside = box_maps(boxes, *change.shape[2:4]).any(axis=-3)
    weight = 1.0 + box_weight * inside + change_weight * relative
    return (weight / jnp.mean(weight, axis=(1, 2, 3), keepdims=True))[..., None]
