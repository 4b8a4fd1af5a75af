"""How far a picture x̂ is from a picture x, where it matters: what stage 1 and the renderer's last phase minimise.

    (1) L_rec  = Σ_p W_p |x̂_p − x_p| / Σ_p 1                      W: see `pixel_weights`
    (2) L_grad = Σ_s mean_p W_p (|∂_h x̂^s − ∂_h x^s| + |∂_w x̂^s − ∂_w x^s|) / S,   x^s: x averaged over 2^s × 2^s pixels
    (3) L_FM   = mean_l mean |D_l(x̂) − D_l(x)|,   D_l: features of the discriminator

(1) with component weights follows FLOAT (arXiv 2412.01064), whose eye and mouth losses are divided by their own area so that
small parts count; (3) pix2pixHD, eq. 6.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.layers.convolution import average_pool

Images = Float[Array, "batch h w c"]
Weights = Float[Array, "batch h w 1"]


def component_weights(boxes: Float[Array, "batch parts 4"], height: int, width: int) -> Weights:
    """A map that gives each part (y0, x0, y1, x1 in fractions) the weight of a whole picture, spread over its area."""
    y = ((jnp.arange(height) + 0.5) / height)[None, None, :, None]
    x = ((jnp.arange(width) + 0.5) / width)[None, None, None, :]
    y0, x0, y1, x1 = (boxes[..., i, None, None] for i in range(4))
    inside = ((y >= y0) & (y < y1) & (x >= x0) & (x < x1)).astype(jnp.float32)
    area = jnp.maximum(inside.mean((-2, -1), keepdims=True), 1.0 / (height * width))
    return (inside / area).sum(1)[..., None]


def crop_parts(images: Images, boxes: Float[Array, "batch parts 4"], side: int) -> Float[Array, "part_pictures side side c"]:
    """Each part (y0, x0, y1, x1 in fractions) of each picture, brought to `side` × `side` pixels by linear interpolation."""
    height, width = images.shape[1:3]

    def crop(image: jax.Array, box: jax.Array) -> jax.Array:
        first, size = box[:2] * jnp.array([height, width]), (box[2:] - box[:2]) * jnp.array([height, width])
        scale = side / jnp.maximum(size, 1.0)
        shape = (side, side, image.shape[-1])
        return jax.image.scale_and_translate(image, shape, (0, 1), scale, -first * scale, "linear", antialias=False)

    crops = jax.vmap(jax.vmap(crop, (None, 0)))(images, boxes)
    return crops.reshape(-1, *crops.shape[2:])


def motion_weights(target: Images, reference: Images) -> Weights:
    """A map of mean 1 over each picture, large where the target differs from the reference: what moves counts."""
    difference = jnp.abs(target - reference).mean(-1, keepdims=True)
    return (difference + 1e-3) / (difference + 1e-3).mean((1, 2), keepdims=True)


def pixel_weights(
    target: Images, reference: Images, boxes: Float[Array, "batch parts 4"], component: float, motion: float
) -> Weights:
    """W of equations (1) and (2): 1 + component × parts + motion × what moves."""
    _, height, width, _ = target.shape
    return 1.0 + component * component_weights(boxes, height, width) + motion * motion_weights(target, reference)


def weighted_l1(x: Images, y: Images, weights: Weights) -> Float[Array, ""]:
    """Equation (1)."""
    return (weights * jnp.abs(x - y)).mean()


def gradient_loss(x: Images, y: Images, weights: Weights, scales: int = 3) -> Float[Array, ""]:
    """Equation (2)."""
    total = jnp.zeros(())
    for _ in range(scales):
        error = x - y
        down, right = error[:, 1:] - error[:, :-1], error[:, :, 1:] - error[:, :, :-1]
        total += (weights[:, 1:] * jnp.abs(down)).mean() + (weights[:, :, 1:] * jnp.abs(right)).mean()
        x, y, weights = (average_pool(a) for a in (x, y, weights))
    return total / scales


def feature_matching(real: Sequence[Float[Array, "..."]], fake: Sequence[Float[Array, "..."]]) -> Float[Array, ""]:
    """Equation (3); the real features are targets, no gradient flows into them."""
    return sum(jnp.abs(f - jax.lax.stop_gradient(r)).mean() for r, f in zip(real, fake, strict=True)) / len(real)
