"""Moves the pixels of pictures: bilinear or bicubic interpolation at positions that a flow gives."""

from __future__ import annotations

import functools
import operator

import jax.numpy as jnp
from jaxtyping import Array, Float


def warp(images: Float[Array, "b h w c"], flow: Float[Array, "b h w 2"], cubic: bool) -> Float[Array, "b h w c"]:
    """Reads the images at p + flow(p). flow = (down, right), in pixels. Outside the picture, its edge is read.

    Values between pixels are interpolated by `linear_weights`, or by `cubic_weights`, which blur fine detail less.
    """
    b, h, w, c = images.shape
    y = jnp.clip(jnp.arange(h)[None, :, None] + flow[..., 0], 0.0, h - 1.0)
    x = jnp.clip(jnp.arange(w)[None, None, :] + flow[..., 1], 0.0, w - 1.0)
    top, left = jnp.minimum(jnp.floor(y), h - 2.0), jnp.minimum(jnp.floor(x), w - 2.0)
    offsets, weights = (range(-1, 3), cubic_weights) if cubic else (range(2), linear_weights)
    down, right = (jnp.stack(weights(part), axis=-1) for part in (y - top, x - left))
    rows, columns = (
        [jnp.clip(first + k, 0, last).astype(jnp.int32) for k in offsets] for first, last in ((top, h - 1), (left, w - 1))
    )
    pixels = images.reshape(b, h * w, c)
    read = lambda i, j: jnp.take_along_axis(pixels, (i * w + j).reshape(b, h * w, 1), axis=1).reshape(b, h, w, c)
    line = lambda i: sum(right[..., n, None] * read(i, j) for n, j in enumerate(columns))
    return functools.reduce(operator.add, (down[..., n, None] * line(i) for n, i in enumerate(rows)))


def linear_weights(t: Float[Array, "*s"]) -> tuple[Float[Array, "*s"], ...]:
    """Weights of two neighbouring pixels for a position at distance t from the first."""
    return 1.0 - t, t


def cubic_weights(t: Float[Array, "*s"]) -> tuple[Float[Array, "*s"], ...]:
    """Weights of four neighbouring pixels for a position at distance t from the second.

    Keys 1981, equation 8, with a = −1/2, which is of third order.
    """
    return (
        ((-0.5 * t + 1.0) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((-1.5 * t + 2.0) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    )
