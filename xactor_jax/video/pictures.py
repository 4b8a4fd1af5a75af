"""Rendered frames as bytes, with a check that their numbers are finite."""

from __future__ import annotations

from functools import reduce
from operator import and_
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from xactor_jax.finite import check_frames
from xactor_jax.pictures import to_uint8


class Drawn(NamedTuple):
    """Frames, and whether each frame's latent and picture were finite, which the bytes cannot show."""

    frames: UInt8[Array, "b t height width 3"]
    finite: Bool[Array, "b t"]


def drawn(pictures: Float[Array, "b t height width 3"], *latents: Float[Array, "b t h w c"]) -> Drawn:
    """Pictures in [-1, 1] as bytes; each must be finite, and so must the latents that it was made from."""
    finite = [jnp.isfinite(x).all(axis=(2, 3, 4)) for x in (pictures, *latents)]
    return Drawn(to_uint8(pictures), reduce(and_, finite))


def checked(drawn: Drawn, first: int, count: int) -> UInt8[np.ndarray, "_ height width 3"]:
    """The first `count` frames of one clip, on the host. `first` is the number of the first frame, for the message.

    Raises:
        UserError: one of them is not finite.
    """
    check_frames(np.asarray(drawn.finite[0, :count]), first, "picture")
    return np.asarray(drawn.frames[0, :count])
