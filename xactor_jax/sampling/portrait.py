"""The portrait: from any picture to the square crop that the stages were trained on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from etils import epath
from jaxtyping import UInt8

from xactor_jax.errors import UserError
from xactor_jax.faces.choice import DETECTOR, make_detector
from xactor_jax.media.crop import (
    RELEASED_MOTION,
    RELEASED_REFERENCE,
    SquareBox,
    crop_portrait,
    crop_square,
    crop_square_on_black,
    portrait_box,
    square_at,
)
from xactor_jax.media.faces import FaceBox, FaceDetector
from xactor_jax.media.image_io import read_image
from xactor_jax.media.scan import finder

CROPS = ("auto", "released", "none")
"""The square around the face as prepared clips are cropped; as X-NeMo's released weights know it; the picture is cropped."""


class Portrait(NamedTuple):
    """The crop at the sides of the motion stage and of the video stage."""

    for_motion: UInt8[np.ndarray, "s s 3"]
    for_video: UInt8[np.ndarray, "h h 3"]


def choose_face(faces: list[FaceBox], face_index: int | None, name: str) -> FaceBox:
    """The only face, or the one asked for; faces are counted from 0, the most prominent first.

    Raises:
        UserError: there is no face, there are several and none was chosen, or no such one.
    """
    if not faces:
        raise UserError(f"no face was found in {name}: give another portrait, or --crop none if it is cropped already.")
    if face_index is None and len(faces) > 1:
        raise UserError(f"{len(faces)} faces were found in {name}: choose one with --face_index 0 … {len(faces) - 1}.")
    index = face_index or 0
    if not 0 <= index < len(faces):
        raise UserError(f"--face_index {index} is out of range: {len(faces)} found in {name}, counted from 0.")
    return faces[index]


def read_portrait(
    path: epath.PathLike,
    sides: tuple[int, int],
    crop: str = "auto",
    face_index: int | None = None,
    detector: FaceDetector | None = None,
) -> Portrait:
    """The portrait at `sides` (motion stage, video stage).

    Args:
        crop: "auto": the square around the face, as prepared clips are cropped; "released": see `media.crop`; "none": the
            largest square in the middle.
        detector: what finds the face; a csv of boxes names the picture without its folder, as frame 0.

    Raises:
        UserError: the picture cannot be read, or see `choose_face`.
    """
    image = read_image(path)
    if crop == "none":
        return Portrait(*(crop_square(image, middle_square(image.shape), side) for side in sides))
    find = finder(detector or make_detector(DETECTOR), epath.Path(path).name)
    face = choose_face(find(0, 0.0, image), face_index, str(path))
    if crop == "released":
        return released_portrait(image, face, sides)
    return Portrait(*(crop_portrait(image, face, side) for side in sides))


def middle_square(image_shape: tuple[int, ...]) -> SquareBox:
    """The largest square in the middle of a picture."""
    height, width = image_shape[:2]
    return square_at(width / 2, height / 2, float(min(height, width)))


def released_portrait(image: UInt8[np.ndarray, "h w 3"], face: FaceBox, sides: tuple[int, int]) -> Portrait:
    """A tight crop for the motion stage, a wide one for the video stage."""
    wide = portrait_box(face, settings=RELEASED_REFERENCE)
    return Portrait(crop_portrait(image, face, sides[0], RELEASED_MOTION), crop_square_on_black(image, wide, sides[1]))
