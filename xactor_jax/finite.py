"""Checks for NaN and infinity. They stop sampling at the first bad frame, before it is written into a video."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from xactor_jax.errors import UserError


def check_frames(finite: Bool[np.ndarray, "frames"], first: int, what: str) -> None:
    """Raises `UserError` unless all frames are `finite`. `first` is the number of the first of these frames."""
    if not np.all(finite):
        frame = max(0, first + int(np.argmin(finite)))
        raise UserError(
            f"the {what} of frame {frame} is not finite: lower the guidance, or use other checkpoints, as these may be damaged."
        )


def finite_frames(values: Float[np.ndarray, "batch frames dim"]) -> Bool[np.ndarray, "frames"]:
    """Which frames have only finite numbers, in every example."""
    return np.isfinite(values).all(axis=(0, 2))
