"""Converts pictures between bytes, as in files, and floats in [-1, 1], as networks use them."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8


def to_float(pixels: UInt8[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Converts 0 … 255 to [-1, 1]. Only the first operation allocates memory, because batches are large."""
    x = pixels.astype(np.float32)
    x /= 127.5
    x -= 1.0
    return x


def to_uint8(images: Float[Array, "*shape"]) -> UInt8[Array, "*shape"]:
    """Converts [-1, 1] to 0 … 255, rounded. Values outside are clipped."""
    return jnp.round((jnp.clip(images, -1.0, 1.0) + 1.0) * 127.5).astype(jnp.uint8)


def picture_grid(rows: Sequence[Float[Array, "n h w 3"]]) -> UInt8[Array, "height width 3"]:
    """One picture for a preview. Each entry is a row of n pictures in [-1, 1]."""
    lines = [jnp.concatenate(list(row), axis=1) for row in rows]
    return to_uint8(jnp.concatenate(lines, axis=0))
