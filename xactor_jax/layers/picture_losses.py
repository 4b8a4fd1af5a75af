"""Losses and metrics of a picture x̂ compared with a picture x, with weights for important regions.

    (1) L_rec  = Σ_p W_p |x̂_p − x_p| / Σ_p 1                      W: see `pixel_weights`
    (2) L_grad = Σ_s mean_p W_p (|∂_h x̂^s − ∂_h x^s| + |∂_w x̂^s − ∂_w x^s|) / S,   x^s: x averaged over 2^s × 2^s pixels
    (3) L_FM   = mean_l mean |D_l(x̂) − D_l(x)|,   D_l: features of the discriminator
    (4) PSNR   = 10 log₁₀(2² / mean (x̂ − x)²) dB,   2: the range of the pictures
    (5) h(x)   = x − G x,   e_c(x) = √(mean_{p ∈ c} h(x)² + ε),   L_detail = mean_c W_c |e_c(x̂) − e_c(x)|,   c: 8 × 8 pixels
    (6) L_still = mean_p [|G x_p − G r_p| < `STILL`] |x̂_p − r_p|,   r: the reference picture

(1) and (2) are smallest for a blurred picture where details cannot be placed exactly. (5) asks for as much fine detail as in x
in each small region, wherever in the region it lies. G is a binomial filter, near a Gaussian with a standard deviation of 1.
(6) asks for the reference's own pixels where nothing moved: losses against x cannot, because the noise of x is another one.

The component weights of (1) follow FLOAT (arXiv 2412.01064), whose eye and mouth losses are divided by their own area, so that
small parts count. (3) is eq. 6 of pix2pixHD.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from xactor_jax.layers.convolution import average_pool

Images = Float[Array, "batch h w c"]
Weights = Float[Array, "batch h w 1"]

BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
DETAIL_CELL = 8
DETAIL_FLOOR = 1e-5
"""Cell c, in pixels, and ε of equation 5. ε is about the energy of rounding to 8 bits, and keeps the root's slope finite."""

STILL = 6 / 127.5
"""Largest change of a pixel that did not move (equation 6), the same as in `xactor_jax.evaluation.detail`."""


def box_maps(boxes: Float[Array, "*b parts 4"], height: int, width: int) -> Bool[Array, "*b parts height width"]:
    """For each box (y0, x0, y1, x1 in fractions): the cells of a height × width grid whose centres are inside."""
    y, x = (jnp.arange(height) + 0.5) / height, (jnp.arange(width) + 0.5) / width
    y0, x0, y1, x1 = (boxes[..., i, None] for i in range(4))
    rows, columns = (y >= y0) & (y < y1), (x >= x0) & (x < x1)
    return rows[..., :, None] & columns[..., None, :]


def component_weights(boxes: Float[Array, "batch parts 4"], height: int, width: int) -> Weights:
    """A map where each part (y0, x0, y1, x1 in fractions) has the total weight of a whole picture, spread over its area."""
    inside = box_maps(boxes, height, width).astype(jnp.float32)
    area = jnp.maximum(inside.mean((-2, -1), keepdims=True), 1.0 / (height * width))
    return (inside / area).sum(1)[..., None]


def crop_parts(images: Images, boxes: Float[Array, "batch parts 4"], side: int) -> Float[Array, "part_pictures side side c"]:
    """Crops each part (y0, x0, y1, x1 in fractions) of each picture, resized linearly to `side` × `side` pixels."""
    height, width = images.shape[1:3]

    def crop(image: jax.Array, box: jax.Array) -> jax.Array:
        first, size = box[:2] * jnp.array([height, width]), (box[2:] - box[:2]) * jnp.array([height, width])
        scale = side / jnp.maximum(size, 1.0)
        shape = (side, side, image.shape[-1])
        return jax.image.scale_and_translate(image, shape, (0, 1), scale, -first * scale, "linear", antialias=False)

    crops = jax.vmap(jax.vmap(crop, (None, 0)))(images, boxes)
    return crops.reshape(-1, *crops.shape[2:])


def motion_weights(target: Images, reference: Images) -> Weights:
    """A map with mean 1 over each picture, large where the target differs from the reference, so that motion counts."""
    difference = jnp.abs(target - reference).mean(-1, keepdims=True)
    return (difference + 1e-3) / (difference + 1e-3).mean((1, 2), keepdims=True)


def pixel_weights(
    target: Images, reference: Images, boxes: Float[Array, "batch parts 4"], component: float, motion: float
) -> Weights:
    """The weights W of equations 1 and 2: 1 + component × `component_weights` + motion × `motion_weights`."""
    _, height, width, _ = target.shape
    return 1.0 + component * component_weights(boxes, height, width) + motion * motion_weights(target, reference)


def weighted_l1(x: Images, y: Images, weights: Weights) -> Float[Array, ""]:
    """Weighted mean absolute error (equation 1)."""
    return (weights * jnp.abs(x - y)).mean()


def gradient_loss(x: Images, y: Images, weights: Weights | None = None, scales: int = 3) -> Float[Array, ""]:
    """Error of image differences at S = `scales` scales; 0 for no scales (equation 2). By default all pixels count equally."""
    error, total = x - y, jnp.zeros(())
    weights = jnp.ones_like(error[..., :1]) if weights is None else weights
    for scale in range(scales):
        error, weights = (average_pool(a) if scale else a for a in (error, weights))
        down, right = jnp.diff(error, axis=1), jnp.diff(error, axis=2)
        total += (weights[:, 1:] * jnp.abs(down)).mean() + (weights[:, :, 1:] * jnp.abs(right)).mean()
    return total / max(scales, 1)


def fine_detail(images: Images) -> Images:
    """h of equation 5: what the filter G takes away."""
    return images - softened(images)


def softened(images: Images) -> Images:
    """G x. Pictures are continued by their edges."""
    soft = images
    for axis in (1, 2):
        length, margins = soft.shape[axis], [(2, 2) if a == axis else (0, 0) for a in range(soft.ndim)]
        padded = jnp.pad(soft, margins, mode="edge")
        moved = (jax.lax.slice_in_dim(padded, i, i + length, axis=axis) for i in range(5))
        soft = reduce(add, (weight * part for weight, part in zip(BINOMIAL, moved, strict=True)))
    return soft


def detail_loss(x: Images, y: Images, weights: Weights) -> Float[Array, ""]:
    """Error of the strength of fine detail in small cells (equation 5)."""
    mean = lambda z: average_pool(z.mean(-1, keepdims=True), DETAIL_CELL)
    strength = lambda z: jnp.sqrt(mean(fine_detail(z) ** 2) + DETAIL_FLOOR)
    return (mean(weights) * jnp.abs(strength(x) - strength(y))).mean()


def still_loss(images: Images, target: Images, reference: Images) -> Float[Array, ""]:
    """Error against the reference where the target does not differ from it (equation 6)."""
    still = jnp.abs(softened((target - reference).mean(-1, keepdims=True))) < STILL
    return (still * jnp.abs(images - reference)).mean()


def psnr(x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, ""]:
    """PSNR in dB, at most 100, from the mean squared error over all entries (equation 4)."""
    return -10.0 * jnp.log10(jnp.mean((x - y) ** 2) / 4.0 + 1e-10)


def feature_matching(real: Sequence[Float[Array, "..."]], fake: Sequence[Float[Array, "..."]]) -> Float[Array, ""]:
    """Distance of discriminator features (equation 3). The real features are targets without gradient."""
    errors = (jnp.abs(f - jax.lax.stop_gradient(r)).mean() for r, f in zip(real, fake, strict=True))
    return reduce(add, errors) / len(real)
