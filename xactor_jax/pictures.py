"""Converts pictures between bytes, as in files, and floats in [-1, 1], as networks use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import overload

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8


@overload
def to_float(pixels: UInt8[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]: ...
@overload
def to_float(pixels: UInt8[Array, "*shape"]) -> Float[Array, "*shape"]: ...
def to_float(
    pixels: UInt8[np.ndarray, "*shape"] | UInt8[Array, "*shape"],
) -> Float[np.ndarray, "*shape"] | Float[Array, "*shape"]:
    """Converts 0 … 255 to [-1, 1], on the host or on the device. On the host, only the first operation allocates memory."""
    x = pixels.astype(np.float32)
    x /= 127.5
    x -= 1.0
    return x


def batch_to_float(batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Converts the pictures of a batch, which are its entries of bytes, to [-1, 1]."""
    return {name: to_float(x) if x.dtype == jnp.uint8 else x for name, x in batch.items()}


def to_uint8(images: Float[Array, "*shape"]) -> UInt8[Array, "*shape"]:
    """Converts [-1, 1] to 0 … 255, rounded. Values outside are clipped."""
    return jnp.round((jnp.clip(images, -1.0, 1.0) + 1.0) * 127.5).astype(jnp.uint8)


def picture_grid(rows: Sequence[Float[Array, "n h w 3"]]) -> UInt8[Array, "height width 3"]:
    """One picture for a preview. Each entry is a row of n pictures in [-1, 1]."""
    lines = [jnp.concatenate(list(row), axis=1) for row in rows]
    return to_uint8(jnp.concatenate(lines, axis=0))
