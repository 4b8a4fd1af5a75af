"""Rotary positions on a part of each head's features.

(1)  q'_p = R(p) q,   R(p) rotates the pair (x_i, x_{i + r/2}) by p base^(-2 i / r),  i < r / 2         Su et al. 2021, eq. 15
(2)  <q'_p, k'_n> = <R(p - n) q, k>                                                        only differences of positions count

Only the first r features of a head are rotated; the rest match without position (the "partial" rotary of GPT-J). A key that is
zero in the first r features has no position. Every query attends to it as if it were at no distance, so a persistent token can
stay in place in an unbounded sequence.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def rotate(
    x: Float[Array, "batch tokens heads features"],
    positions: Int[Array, "tokens"] | Float[Array, "tokens"],
    rotary_dim: int,
    base: float = 1000.0,
) -> Float[Array, "batch tokens heads features"]:
    """Rotates the first `rotary_dim` (even) features (equation 1). Angles are in float32; the result has the dtype of `x`."""
    half = rotary_dim // 2
    frequency = base ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle = positions.astype(jnp.float32)[:, None, None] * frequency
    cos, sin = jnp.cos(angle).astype(x.dtype), jnp.sin(angle).astype(x.dtype)
    first, second, rest = x[..., :half], x[..., half:rotary_dim], x[..., rotary_dim:]
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin, rest], axis=-1)


def without_position(
    x: Float[Array, "batch tokens heads features"], rotary_dim: int
) -> Float[Array, "batch tokens heads features"]:
    """`x` with zeros in the rotated features. As a key, it has no position."""
    return x * (jnp.arange(x.shape[-1]) >= rotary_dim).astype(x.dtype)
