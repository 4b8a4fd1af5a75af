"""Driving motion: from a file of motion latents, or from a video whose face is detected, tracked, cropped and encoded.

A video is read twice, so that memory stays small: first for the boxes of the face, then for the images, one batch at a time.

Motion of another person may be used as changes from its first frame, because latents also contain the usual pose of a person's
head and the framing of the face (relative motion; Siarohin et al., arXiv 2003.00196, section 3.2):

    (1) m'_t = m_ref + m_t - m_0
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from etils import epath
from jaxtyping import Float, UInt8

from xactor_jax.errors import UserError, first_line
from xactor_jax.faces.choice import DETECTOR, make_detector
from xactor_jax.media import track
from xactor_jax.media.containers import require_file
from xactor_jax.media.crop import SquareBox, crop_square
from xactor_jax.media.faces import FaceDetector
from xactor_jax.media.scan import extent, finder, main_segment, scan
from xactor_jax.media.video_io import read_at_frame_rate
from xactor_jax.motion.pictures import Encoder
from xactor_jax.sampling.output import Latents
from xactor_jax.sampling.portrait import middle_square
from xactor_jax.timing import FRAME_RATE

BATCH = FRAME_RATE
"""Number of frames that are encoded at once."""

DETECTIONS = {"auto": 5, "released": FRAME_RATE}
"""Crop → face detections per second: "auto" is the rate of prepared clips; "released" detects the face in every frame."""


class Driving(NamedTuple):
    """The part of a video that drives: its start in seconds, and the crop of each frame at 25 frames per second."""

    path: str
    start: float
    squares: list[SquareBox]

    @property
    def frames(self) -> int:
        return len(self.squares)


def find_driving(path: str, crop: str, warn: Callable[[str], None], detector: FaceDetector | None = None) -> Driving:
    """Finds the face in a video. `crop` is one of `portrait.CROPS`. Calls `warn` if only a part of the video is used.

    Raises:
        UserError: the video cannot be read, or it shows no face or several faces.
    """
    if crop == "none":
        found = scan(path, lambda frame, time, pixels: [])
        return Driving(path, 0.0, [middle_square(found.image_shape)] * _count(found.seconds))
    found = scan(path, finder(detector or make_detector(DETECTOR), epath.Path(path).name), 1 / DETECTIONS[crop])
    segment = main_segment(found)
    if segment is None:
        raise UserError(f"no face was found in {path}: give a video of one person, or --driving_crop none if it is cropped.")
    if segment.several >= track.TrackSettings().second_share:
        raise UserError(f"several faces were found in {path}: give a video of one person.")
    start, end = extent(segment, found)
    if end - start < found.seconds - 0.5 / FRAME_RATE:
        warn(f"one face is seen in {path} from {start:.1f} s to {end:.1f} s of {found.seconds:.1f} s: that part is used")
    return Driving(path, start, _squares(segment, start, _count(end - start), found.image_shape, crop))


def _count(seconds: float) -> int:
    """Number of frames, rounded half up; at least one."""
    return max(1, math.floor(seconds * FRAME_RATE + 0.5))


def _squares(segment: track.Segment, start: float, frames: int, image_shape: tuple[int, ...], crop: str) -> list[SquareBox]:
    times = start + np.arange(frames) / FRAME_RATE
    if crop == "released":
        return track.released_crop(track.boxes_at(segment, times, track.TrackSettings(smooth=0.0)), image_shape)
    return track.steady_crop(track.boxes_at(segment, times), image_shape, 1 / FRAME_RATE).squares


def driving_pictures(driving: Driving, side: int) -> Iterator[UInt8[np.ndarray, "side side 3"]]:
    """Yields the cropped frames."""
    with contextlib.closing(read_at_frame_rate(driving.path, driving.start, driving.frames)) as pictures:
        for pixels, square in zip(pictures, driving.squares, strict=True):
            yield crop_square(pixels, square, side)


def driving_motion(driving: Driving, encode: Encoder, side: int) -> Iterator[Latents]:
    """Yields motion latents of the crops, at most `BATCH` frames at a time; `encode` comes from `pictures.frame_encoder`."""
    with contextlib.closing(driving_pictures(driving, side)) as pictures:
        while batch := list(itertools.islice(pictures, BATCH)):
            yield encode(np.stack(batch))


def relative_motion(pieces: Iterable[Latents], reference: Float[np.ndarray, "d"]) -> Iterator[Latents]:
    """Relative motion of a clip that comes in pieces (equation 1). It begins at the portrait's own motion."""
    offset = None
    for piece in pieces:
        offset = reference - piece[0] if offset is None else offset
        yield piece + offset


class SavedMotion(NamedTuple):
    """Motion latents that `output.write_motion` saved. The hash is empty if the file has none."""

    latents: Latents
    motion_hash: str


def read_motion(path: str, dim: int) -> SavedMotion:
    """Reads motion latents [T, D] from an npz file, with D = `dim`.

    Raises:
        UserError: the file is missing or of another kind, or its latents have another size or frame rate.
    """
    file = require_file(path, "file of motion latents")
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as saved:
            latents, rate = np.asarray(saved["motion_latents"], np.float32), float(saved.get("frame_rate", FRAME_RATE))
            motion_hash = str(saved.get("motion_hash", ""))
    except Exception as error:  # a damaged file can cause many kinds of errors in NumPy and zipfile
        raise UserError(
            f"{path} holds no motion latents ({first_line(error)}): give what sample.py --save_motion writes."
        ) from None
    _check_motion(path, latents, rate, dim)
    return SavedMotion(latents, motion_hash)


def _check_motion(path: str, latents: np.ndarray, rate: float, dim: int) -> None:
    if latents.ndim != 2 or len(latents) == 0 or not np.isfinite(latents).all():
        raise UserError(f"{path} holds no motion latents: motion_latents must be finite numbers [frames, {dim}].")
    if latents.shape[1] != dim:
        raise UserError(f"motion latents of {path} have {latents.shape[1]} numbers, not {dim}: use the motion stage of theirs.")
    if rate != FRAME_RATE:
        raise UserError(f"motion latents of {path} are {rate:g} a second, not {FRAME_RATE}: resample them.")


def motion_pieces(motion: Float[np.ndarray, "t d"]) -> Iterator[Latents]:
    """Yields saved motion in pieces of the same size as motion from a video."""
    return (motion[start : start + BATCH] for start in range(0, len(motion), BATCH))
