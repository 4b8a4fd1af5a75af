"""Videos to be scored: read from files frame by frame, so that memory does not grow with their length."""

from __future__ import annotations

import dataclasses
import functools
import weakref
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from jaxtyping import Float, UInt8

Frame = UInt8[np.ndarray, "h w 3"]

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True, eq=False)
class Video:
    """A video at 25 frames a second that can be read several times, and its sound. It is equal to itself only."""

    name: str
    count: int
    """Number of frames."""
    side: tuple[int, int]
    """Height and width in pixels."""
    read: Callable[[], Iterator[Frame]]
    """Begins to read the RGB frames, from the first."""
    waveform: Float[np.ndarray, "samples"] | None = None
    """16 kHz mono in [-1, 1], 640 samples a frame; None without sound."""

    def __iter__(self) -> Iterator[Frame]:
        return self.read()


@dataclasses.dataclass(frozen=True)
class Case:
    """A video to be scored, and the true video that shows the same moments (None if there is none)."""

    generated: Video
    truth: Video | None = None


def of_frames(name: str, frames: UInt8[np.ndarray, "t h w 3"], waveform: Float[np.ndarray, "samples"] | None = None) -> Video:
    """A video of frames in memory."""
    return Video(name, len(frames), frames.shape[1:3], lambda: iter(frames), waveform)


def once_per_video(function: Callable[[Video], Result]) -> Callable[[Video], Result]:
    """The function, computed once for each video. The result is kept as long as the video, since several protocols use it."""
    results: weakref.WeakKeyDictionary[Video, Result] = weakref.WeakKeyDictionary()

    @functools.wraps(function)
    def result(video: Video) -> Result:
        if video not in results:
            results[video] = function(video)
        return results[video]

    return result
