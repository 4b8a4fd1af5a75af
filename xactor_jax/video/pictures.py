"""Contact sheets for previews."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8


def to_uint8(images: Float[Array, "*s"]) -> UInt8[Array, "*s"]:
    """[-1, 1] → 0 … 255, rounded."""
    return jnp.round((jnp.clip(images, -1.0, 1.0) + 1.0) * 127.5).astype(jnp.uint8)


def side_by_side(rows: Sequence[Float[Array, "n h w 3"]]) -> UInt8[Array, "height width 3"]:
    """One picture: each entry is a row of n frames in [-1, 1]."""
    lines = [jnp.concatenate(list(row), axis=1) for row in map(jax.lax.stop_gradient, rows)]
    return to_uint8(jnp.concatenate(lines, axis=0))
