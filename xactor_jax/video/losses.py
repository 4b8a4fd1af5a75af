"""Losses of the autoencoder and the weights that say where the denoiser's error matters.

Autoencoder (Rombach et al. 2022; gradients take the place of learned perceptual features d where there are none):
    (1) L = L_pixels + w_g L_gradients + w_p d(x̂, x) + w_kl KL(N(μ, σ²) ‖ N(0, 1))
    (2) L_gradients = mean over scales s of |∇(x̂ ↓ s) − ∇(x ↓ s)|₁
    (3) KL = ½ (μ² + σ² − log σ² − 1), mean over the latent's entries
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from xactor_jax.layers.convolution import average_pool

Images = Float[Array, "*b h w c"]


def pixel_loss(prediction: Images, target: Images, kind: str) -> Float[Array, ""]:
    """Mean absolute ("l1") or squared ("mse") difference."""
    difference = prediction - target
    return jnp.mean(jnp.abs(difference) if kind == "l1" else difference**2)


def gradient_loss(prediction: Images, target: Images, scales: int) -> Float[Array, ""]:
    """Equation 2: mean absolute difference of horizontal and vertical differences at 1, 1/2, 1/4 … of the size."""
    error = prediction - target
    total = jnp.zeros(())
    for scale in range(scales):
        error = error if scale == 0 else average_pool(error)
        vertical, horizontal = jnp.diff(error, axis=-3), jnp.diff(error, axis=-2)
        total += jnp.mean(jnp.abs(vertical)) + jnp.mean(jnp.abs(horizontal))
    return total / max(scales, 1)


def kl_to_standard_normal(mean: Float[Array, "*s"], log_variance: Float[Array, "*s"]) -> Float[Array, ""]:
    """Equation 3, mean over all entries."""
    return 0.5 * jnp.mean(mean**2 + jnp.exp(log_variance) - log_variance - 1.0)


def psnr(prediction: Images, target: Images) -> Float[Array, ""]:
    """Peak signal-to-noise ratio in decibels of images in [-1, 1], from the mean squared error over all of them."""
    return -10.0 * jnp.log10(jnp.mean((prediction - target) ** 2) / 4.0 + 1e-10)


def inside_boxes(boxes: Float[Array, "*b n 4"], height: int, width: int) -> Bool[Array, "*b height width"]:
    """Cells of a height × width grid whose centre lies in any of the boxes (y0, x0, y1, x1 as fractions of the picture)."""
    y = (jnp.arange(height) + 0.5) / height
    x = (jnp.arange(width) + 0.5) / width
    y0, x0, y1, x1 = (boxes[..., i, None] for i in range(4))
    rows, columns = (y >= y0) & (y <= y1), (x >= x0) & (x <= x1)
    return jnp.any(rows[..., :, None] & columns[..., None, :], axis=-3)


def movement_weights(
    change: Float[Array, "b t h w c"], boxes: Float[Array, "b t n 4"], box_weight: float, change_weight: float
) -> Float[Array, "b t h w 1"]:
    """Weight of each latent cell: more inside eyes and mouth, more where the frame differs from the reference.

    1 + box_weight · [inside] + change_weight · |change| / mean|change|, scaled to mean one over each window, so that the
    size of the loss stays that of the unweighted one.
    """
    size = jnp.mean(jnp.abs(change), axis=-1)
    relative = size / (jnp.mean(size, axis=(1, 2, 3), keepdims=True) + 1e-6)
    inside = inside_boxes(boxes, *change.shape[2:4])
    weight = 1.0 + box_weight * inside + change_weight * relative
    return (weight / jnp.mean(weight, axis=(1, 2, 3), keepdims=True))[..., None]
