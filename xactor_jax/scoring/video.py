"""Videos to be scored: read from files frame by frame, so that memory does not grow with their length."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, UInt8

Frame = UInt8[np.ndarray, "h w 3"]


@dataclasses.dataclass(frozen=True)
class Video:
    """A video at 25 frames a second that can be read several times, and its sound."""

    name: str
    count: int
    """Number of frames."""
    side: tuple[int, int]
    """Height and width in pixels."""
    read: Callable[[], Iterator[Frame]]
    """Begins to read the RGB frames, from the first."""
    waveform: Float[np.ndarray, "samples"] | None = None
    """16 kHz mono in [-1, 1], 640 samples a frame; None without sound."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A video to be scored, and the true video that shows the same moments (None if there is none)."""

    generated: Video
    truth: Video | None = None


def of_frames(name: str, frames: UInt8[np.ndarray, "t h w 3"], waveform: Float[np.ndarray, "samples"] | None = None) -> Video:
    """A video of frames in memory."""
    return Video(name, len(frames), frames.shape[1:3], lambda: iter(frames), waveform)
