"""Rendered frames as bytes, with a check that their numbers are finite."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, UInt8

from xactor_jax.finite import check_frames


class Drawn(NamedTuple):
    """Frames, and whether each frame's latent and picture were finite, which the bytes cannot show."""

    frames: UInt8[Array, "b t height width 3"]
    finite: Bool[Array, "b t"]


def checked(drawn: Drawn, first: int, count: int) -> UInt8[np.ndarray, "_ height width 3"]:
    """The first `count` frames of one clip, on the host. `first` is the number of the first frame, for the message.

    Raises:
        UserError: one of them is not finite.
    """
    check_frames(np.asarray(drawn.finite[0, :count]), first, "picture")
    return np.asarray(drawn.frames[0, :count])
