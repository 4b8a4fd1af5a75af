"""The pictures that SyncNet sees: a square of 224 pixels with the face in its upper part, cut as by `run_pipeline.py`.

For the box (x0, y0, x1, y1) of a face in each frame, interpolated where it is missing:

    (1) s = max(x1 − x0, y1 − y0) / 2,  x = (x0 + x1) / 2,  y = (y0 + y1) / 2
    (2) s, x, y ← their medians over 13 frames, with zeros beyond the ends, as scipy.signal.medfilt takes them
    (3) rows y − s to y + 1.8 s and columns x − 1.4 s to x + 1.4 s, grey (110) beyond the picture, resized bilinearly

(github.com/joonson/syncnet_python; crop scale 0.4.) A track ends where the face is missing for 25 frames, or where its box
overlaps with the last one by half or less (intersection over union).

What differs: the published boxes are those of the detector S3FD. Ours are around the 468 landmarks of the face: from the
hairline to the chin and from cheek to cheek, as the boxes of S3FD's training data (WIDER FACE) are defined. How much this moves
the numbers has not been measured. The published program scores every track of over 100 frames and 100 pixels. Ours scores the
longest, of any size and of at least 13 frames, since many systems make small or short videos. The published program compresses
crops as XVID and JPEG on their way; ours are not compressed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from xactor_jax.faces.detection import iou
from xactor_jax.metric_networks.syncnet import SIDE
from xactor_jax.scoring.landmarks import landmarks_of
from xactor_jax.scoring.video import Frame, Video

SCALE = 0.4
MEDIAN = 13
GREY = 110
MISSING = 25
"""Frames in a row without the face that end a track."""
OVERLAP = 0.5
"""Two boxes are one face above this intersection over union."""

Crop = UInt8[np.ndarray, "224 224 3"]


class Track(NamedTuple):
    """A face in consecutive frames, from the frame `first` on: x, y and s of each (equation 2)."""

    first: int
    squares: Float[np.ndarray, "n 3"]


class Piece(NamedTuple):
    """What is scored of a video: its frames from `first` on, cropped (RGB)."""

    first: int
    count: int
    crops: Iterator[Crop]


def face_piece(video: Video) -> Piece | None:
    """The frames of the longest track, cropped around the face; None if there is no face in `MEDIAN` frames."""
    track = longest_track(landmarks_of(video), video.side)
    if track is None:
        return None
    count = len(track.squares)
    frames = itertools.islice(video.read(), track.first, track.first + count)
    return Piece(
        track.first, count, (crop(frame, *square) for frame, square in zip(frames, track.squares.tolist(), strict=True))
    )


def whole_piece(video: Video) -> Piece:
    """All frames of a video that was cropped before, resized if they have another size."""
    return Piece(0, video.count, (cv2.resize(frame, (SIDE, SIDE)) for frame in video.read()))


def longest_track(points: Float[np.ndarray, "t p 3"], side: tuple[int, int]) -> Track | None:
    """The longest track of landmarks in pixels (`nan` where there are none) in pictures of `side` pixels (height, width).

    None if it has fewer than `MEDIAN` frames, for which the medians are not defined.
    """
    seen = np.flatnonzero(np.isfinite(points).all(axis=(1, 2)))
    if not len(seen):
        return None
    flat = points[seen, :, :2]
    boxes = np.concatenate([flat.min(axis=1), flat.max(axis=1)], axis=1)
    run = max(_runs(seen, boxes), key=lambda run: seen[run[-1]] - seen[run[0]])
    frames = np.arange(seen[run[0]], seen[run[-1]] + 1)
    between = np.stack([np.interp(frames, seen[run], column) for column in boxes[run].T], axis=1)
    return Track(int(frames[0]), _squares(between, side)) if len(frames) >= MEDIAN else None


def _runs(seen: Int[np.ndarray, "n"], boxes: Float[np.ndarray, "n 4"]) -> list[Int[np.ndarray, "_"]]:
    """Indices of the boxes of each track."""
    overlaps = np.array([iou(box, other[None])[0] for box, other in itertools.pairwise(boxes)])
    ends = (np.diff(seen) > MISSING) | (overlaps <= OVERLAP)
    return np.split(np.arange(len(seen)), np.flatnonzero(ends) + 1)


def _squares(boxes: Float[np.ndarray, "n 4"], side: tuple[int, int]) -> Float[np.ndarray, "n 3"]:
    """x, y and s (equations 1 and 2). The centre stays in the picture."""
    from scipy.signal import medfilt  # here, because it takes long to import

    x, y = (boxes[:, :2] + boxes[:, 2:]).T / 2
    s = (boxes[:, 2:] - boxes[:, :2]).max(axis=1) / 2
    return np.stack([medfilt(values, MEDIAN) for values in (x.clip(0, side[1]), y.clip(0, side[0]), s)], axis=1)


def crop(image: Frame, x: float, y: float, s: float) -> Crop:
    """Equation 3, with its pixels truncated to whole ones as in the published program."""
    below, beside = s * (1 + 2 * SCALE), s * (1 + SCALE)
    margin = int(below)
    framed = cv2.copyMakeBorder(image, *(margin,) * 4, cv2.BORDER_CONSTANT, value=(GREY,) * 3)
    x, y = x + margin, y + margin
    return cv2.resize(framed[int(y - s) : int(y + below), int(x - beside) : int(x + beside)], (SIDE, SIDE))
