"""Reads a portrait and crops it to a square, in the way that the stages were trained."""

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
"""auto: the crop of prepared clips; released: the crop of X-NeMo's released weights; none: the image is already cropped."""


class Portrait(NamedTuple):
    """The crop at the image sizes of the motion stage and of the video stage."""

    for_motion: UInt8[np.ndarray, "s s 3"]
    for_video: UInt8[np.ndarray, "h h 3"]


def choose_face(faces: list[FaceBox], face_index: int | None, name: str) -> FaceBox:
    """The only face, or the one with the requested index. Indices start at 0, with the most prominent face.

    Raises:
        UserError: there is no face, there are several and no index was given, or the index does not exist.
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
    """Reads a portrait and crops it to `sides` pixels (motion stage, video stage).

    Args:
        crop: "auto": the square around the face, as for prepared clips; "released": see `media.crop`; "none": the largest
            square in the middle.
        detector: The face detector. A csv file of boxes refers to the image by its name without the folder, as frame 0.

    Raises:
        UserError: the image cannot be read; see also `choose_face`.
    """
    return cropped(read_image(path), str(path), sides, crop, face_index, detector)


def cropped(
    image: UInt8[np.ndarray, "h w 3"],
    name: str,
    sides: tuple[int, int],
    crop: str = "auto",
    face_index: int | None = None,
    detector: FaceDetector | None = None,
) -> Portrait:
    """The same for pixels; `name` is the path or the name of the picture. Raises the errors of `choose_face`."""
    if crop == "none":
        return Portrait(*(crop_square(image, middle_square(image.shape), side) for side in sides))
    find = finder(detector or make_detector(DETECTOR), epath.Path(name).name)
    face = choose_face(find(0, 0.0, image), face_index, name)
    if crop == "released":
        return released_portrait(image, face, sides)
    return Portrait(*(crop_portrait(image, face, side) for side in sides))


def middle_square(image_shape: tuple[int, ...]) -> SquareBox:
    """The largest square in the middle of an image."""
    height, width = image_shape[:2]
    return square_at(width / 2, height / 2, float(min(height, width)))


def released_portrait(image: UInt8[np.ndarray, "h w 3"], face: FaceBox, sides: tuple[int, int]) -> Portrait:
    """The crops of X-NeMo's released weights: tight for the motion stage, wide for the video stage."""
    wide = portrait_box(face, settings=RELEASED_REFERENCE)
    return Portrait(crop_portrait(image, face, sides[0], RELEASED_MOTION), crop_square_on_black(image, wide, sides[1]))
