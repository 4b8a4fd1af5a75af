"""A first look at a video: how long it is, and where its one face is."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable

import numpy as np
from etils import epath
from jaxtyping import UInt8

from xactor_jax.media import track, video_io
from xactor_jax.media.faces import CsvDetector, FaceBox, FaceDetector
from xactor_jax.timing import FRAME_RATE

Find = Callable[[int, float, UInt8[np.ndarray, "h w 3"]], list[FaceBox]]
"""Faces of a frame, by its number, its time in seconds and its pixels."""


@dataclasses.dataclass(frozen=True)
class Scan:
    """What one pass over a video finds."""

    samples: list[track.Sample]
    frames: int
    seconds: float
    image_shape: tuple[int, ...]
    period: float  # seconds between detections


def finder(detector: FaceDetector, file: str) -> Find:
    """The detector as `scan` calls it; `file` is what a csv of boxes calls the video."""
    if isinstance(detector, CsvDetector):
        return lambda frame, time, _: detector.boxes_at(file, frame, time)
    return lambda frame, time, pixels: detector.detect(pixels)


def scan(path: epath.PathLike, find: Find, period: float = math.inf) -> Scan:
    """Faces every `period` seconds (infinite: in the first frame alone), and how long the video is; a box is all that is kept.

    Raises:
        UserError: as `video_io.read_frames`.
    """
    samples: list[track.Sample] = []
    times: list[float] = []
    shape: tuple[int, ...] = ()
    due = lambda time: not samples or time >= samples[-1].time + period - 1e-6
    with contextlib.closing(video_io.read_frames(path, due)) as frames:
        for time, pixels in frames:
            if pixels is not None:
                shape = pixels.shape
                samples.append(track.Sample(time, find(len(times), time, pixels)))
            times.append(time)
    last = float(np.median(np.diff(times))) if len(times) > 1 else 1 / FRAME_RATE
    return Scan(samples, len(times), times[-1] + last, shape, period)


def main_stretch(found: Scan) -> track.Stretch | None:
    """The longest stretch, one with a single face before all others; None where no face was found."""
    limit = track.TrackSettings().second_share
    return max(track.find_stretches(found.samples), key=lambda s: (s.several < limit, s.seconds), default=None)


def extent(stretch: track.Stretch, found: Scan) -> tuple[float, float]:
    """Start and end in seconds: those of the video if the face is seen in the first or last sample."""
    start, end = float(stretch.times[0]), float(stretch.times[-1])
    return (
        0.0 if start == found.samples[0].time else start,
        found.seconds if end == found.samples[-1].time else end,
    )
