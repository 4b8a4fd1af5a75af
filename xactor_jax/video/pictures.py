"""Pictures as bytes: frames that are given out, and contact sheets for previews."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from xactor_jax.finite import check_frames


class Drawn(NamedTuple):
    """Frames, and of each whether its latent and its picture were finite, which their bytes do not tell."""

    frames: UInt8[Array, "b t height width 3"]
    finite: Bool[Array, "b t"]


def checked(drawn: Drawn, first: int, count: int) -> UInt8[np.ndarray, "_ height width 3"]:
    """The first `count` frames of one clip on the host, of which `first` is the number of the first.

    Raises:
        UserError: one of them is not finite.
    """
    check_frames(np.asarray(drawn.finite[0, :count]), first, "picture")
    return np.asarray(drawn.frames[0, :count])


def to_uint8(images: Float[Array, "*s"]) -> UInt8[Array, "*s"]:
    """[-1, 1] → 0 … 255, rounded."""
    return jnp.round((jnp.clip(images, -1.0, 1.0) + 1.0) * 127.5).astype(jnp.uint8)


def side_by_side(rows: Sequence[Float[Array, "n h w 3"]]) -> UInt8[Array, "height width 3"]:
    """One picture: each entry is a row of n frames in [-1, 1]."""
    lines = [jnp.concatenate(list(row), axis=1) for row in map(jax.lax.stop_gradient, rows)]
    return to_uint8(jnp.concatenate(lines, axis=0))
