"""First pass over a video: measures its length and detects its faces."""

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
"""Detects faces of a frame, given its index, its time in seconds and its pixels."""


@dataclasses.dataclass(frozen=True)
class Scan:
    """The results of one pass over a video."""

    samples: list[track.Sample]
    frames: int
    seconds: float
    image_shape: tuple[int, ...]
    period: float  # seconds between detections


def finder(detector: FaceDetector, file: str) -> Find:
    """The detector in the form that `scan` needs; `file` is the name of the video in a csv of boxes."""
    if isinstance(detector, CsvDetector):
        return lambda frame, time, _: detector.boxes_at(file, frame, time)
    return lambda frame, time, pixels: detector.detect(pixels)


def scan(path: epath.PathLike, find: Find, period: float = math.inf) -> Scan:
    """Detects faces every `period` seconds (infinite: only in the first frame), and measures the length. Keeps no pixels.

    Raises:
        UserError: as `video_io.read_frames` does.
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


def main_segment(found: Scan) -> track.Segment | None:
    """The longest segment; one with a single face is preferred to one with several. None where no face was found."""
    limit = track.TrackSettings().second_share
    return max(track.find_segments(found.samples), key=lambda s: (s.several < limit, s.seconds), default=None)


def extent(segment: track.Segment, found: Scan) -> tuple[float, float]:
    """Start and end of a segment in seconds; those of the video where the face is in the first or last sample."""
    start, end = float(segment.times[0]), float(segment.times[-1])
    return (
        0.0 if start == found.samples[0].time else start,
        found.seconds if end == found.samples[-1].time else end,
    )
