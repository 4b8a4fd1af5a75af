"""From faces detected a few times a second to one face track and one steady square crop.

A segment of a track is a run of samples that show the same face: at most `max_gap` seconds without it, and no jump (a cut).
The crop of a clip has one side, that of the median face (`crop.portrait_box`), and a centre:

    centre(t) = median of the track's centres                     if no centre is farther from it than `still` · side
    centre(t) = Gaussian-smoothed centres, σ = `follow` seconds   otherwise

Why: a fixed crop keeps the head's movement in the picture, where the motion latents can describe it. A crop that followed the
face closely would remove that movement. Where the camera or the person moves across the picture, the crop follows slowly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from xactor_jax.media.crop import RELEASED_MOTION, CropSettings, SquareBox, component_boxes, portrait_box, square_at
from xactor_jax.media.faces import FaceBox, overlap


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrackSettings:
    """Thresholds that define a track, and the smoothing of its crop."""

    max_gap: float = 1.0  # seconds; a longer time without the face ends the segment
    jump: float = 0.25  # overlap with the box before, as a fraction of the smaller box; less is a cut
    second_face: float = 0.5  # another face counts from this fraction of the main face's size on
    second_share: float = 0.2  # share of samples with another face, from which a segment has several faces
    smooth: float = 0.15  # seconds, σ of the smoothing of face boxes
    still: float = 0.2  # fraction of the crop's side by which a face may leave the centre of a fixed crop
    follow: float = 1.0  # seconds, σ of the centre of a following crop
    crop: CropSettings = dataclasses.field(default_factory=CropSettings)


class Sample(NamedTuple):
    """The faces detected at one time (seconds), most prominent first."""

    time: float
    faces: Sequence[FaceBox]


class Segment(NamedTuple):
    """One face over time: times [n] (seconds), boxes [n, 4] (x0, y0, x1, y1), share of samples with a second face."""

    times: Float[np.ndarray, "n"]
    boxes: Float[np.ndarray, "n 4"]
    several: float

    @property
    def seconds(self) -> float:
        return float(self.times[-1] - self.times[0])


Run = list[tuple[float, FaceBox, bool]]
"""Consecutive samples of one face: (time, face, whether there is another face of comparable size)."""


def _continues(last: tuple[float, FaceBox], time: float, face: FaceBox, settings: TrackSettings) -> bool:
    """Whether a face is the one seen last: near it in position, size and time."""
    near = overlap(last[1], face) >= settings.jump and 0.5 < face.size / last[1].size < 2.0
    return near and time - last[0] <= settings.max_gap + 1e-6


def _main_face(sample: Sample, last: tuple[float, FaceBox] | None) -> FaceBox:
    """The face that overlaps most with the last one; the most prominent one where none overlaps."""
    if last is None:
        return sample.faces[0]
    best = max(sample.faces, key=lambda face: overlap(face, last[1]))
    return best if overlap(best, last[1]) > 0 else sample.faces[0]


def find_segments(samples: Sequence[Sample], settings: TrackSettings = TrackSettings()) -> list[Segment]:
    """All segments, in order of time. A box that is out of place in only one sample is ignored."""
    runs: list[Run] = []
    last = None
    for sample in samples:
        if not sample.faces:
            continue
        face = _main_face(sample, last)
        if last is None or not _continues(last, sample.time, face, settings):
            runs.append([])
        others = [other for other in sample.faces if other is not face]
        runs[-1].append((sample.time, face, any(o.size >= settings.second_face * face.size for o in others)))
        last = (sample.time, face)
    return [_segment(run) for run in _without_strays(runs, settings)]


def _without_strays(runs: Sequence[Run], settings: TrackSettings) -> list[Run]:
    """Joins runs that are separated by only one sample that is out of place."""
    joined: list[Run] = []
    for i, run in enumerate(runs):
        after = runs[i + 1] if i + 1 < len(runs) else None
        last = joined[-1][-1] if joined else None
        if last and after and len(run) == 1 and _continues(last[:2], after[0][0], after[0][1], settings):
            continue
        if last and _continues(last[:2], run[0][0], run[0][1], settings):
            joined[-1] += run
        else:
            joined.append(list(run))
    return joined


def _segment(run: Run) -> Segment:
    times = np.array([time for time, _, _ in run])
    return Segment(times, np.array([face[:4] for _, face, _ in run]), float(np.mean([several for _, _, several in run])))


def gaussian_smooth(values: Float[np.ndarray, "n d"], sigma: float) -> Float[np.ndarray, "n d"]:
    """Gaussian filter along the first axis, σ in samples. Beyond the ends the first and last value are repeated."""
    from scipy.ndimage import gaussian_filter1d  # here: every program imports this file, and SciPy takes long to import

    if sigma <= 0:
        return values
    return gaussian_filter1d(values, sigma, axis=0, mode="nearest", radius=max(1, round(3 * sigma)))


def _median3(values: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Median of three neighbours in time, which removes single wrong detections."""
    from scipy.ndimage import median_filter  # here for the same reason

    return median_filter(values, size=(3, 1), mode="nearest")


def boxes_at(
    segment: Segment, times: Float[np.ndarray, "t"], settings: TrackSettings = TrackSettings()
) -> Float[np.ndarray, "t 4"]:
    """Face boxes at evenly spaced times: outliers are removed, then boxes are interpolated and smoothed."""
    clean = _median3(segment.boxes)
    between = np.stack([np.interp(times, segment.times, column) for column in clean.T], axis=1)
    step = times[1] - times[0] if len(times) > 1 else 1.0
    return gaussian_smooth(between, settings.smooth / step)


class SteadyCrop(NamedTuple):
    """A square per frame, all of one side; face boxes; boxes of eyes and mouth in the squares; whether the crop follows."""

    squares: list[SquareBox]
    faces: list[FaceBox]
    components: Float[np.ndarray, "t 2 4"]
    follows: bool


def steady_crop(
    boxes: Float[np.ndarray, "t 4"],
    image_shape: tuple[int, ...],
    step: float,
    settings: TrackSettings = TrackSettings(),
) -> SteadyCrop:
    """The crop of a clip (module docstring), from one face box per frame, `step` seconds apart."""
    faces = [FaceBox(*map(float, box)) for box in boxes]
    middle = median_face(boxes)
    square = portrait_box(middle, image_shape, settings.crop)
    offsets = (boxes[:, :2] + boxes[:, 2:]) / 2 - np.array(middle.centre)
    follows = bool(np.abs(offsets).max() > settings.still * square.size)
    squares = [square] * len(faces)
    if follows:
        moved = gaussian_smooth(offsets, settings.follow / step) + np.array(middle.centre)
        squares = [square_at(x, y - settings.crop.raise_by * square.size, square.size, image_shape) for x, y in moved.tolist()]
    components = [component_boxes(face, box) for face, box in zip(faces, squares, strict=True)]
    return SteadyCrop(squares, faces, np.stack(components), follows)


def released_crop(
    boxes: Float[np.ndarray, "t 4"], image_shape: tuple[int, ...], settings: CropSettings = RELEASED_MOTION, sigma: float = 5.0
) -> list[SquareBox]:
    """The crop that weights released for X-NeMo expect: a square that follows the face of every frame closely.

    Its side is that of the first frame, made even. Its centre is smoothed by a Gaussian of `sigma` frames. It is moved into the
    picture.
    """
    first = FaceBox(*map(float, boxes[0]))
    side = 2.0 * max(1, int(settings.enlarge * first.size / 2))
    centres = gaussian_smooth((boxes[:, :2] + boxes[:, 2:]) / 2, sigma)
    return [square_at(x, y, side, image_shape) for x, y in centres.tolist()]


def median_face(boxes: Float[np.ndarray, "t 4"]) -> FaceBox:
    """The box with the median centre, width and height."""
    x, y = np.median((boxes[:, :2] + boxes[:, 2:]) / 2, axis=0).tolist()
    width, height = np.median(boxes[:, 2:] - boxes[:, :2], axis=0).tolist()
    return FaceBox(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
