"""The portrait: from any picture to the square crop that the stages were trained on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from etils import epath
from jaxtyping import UInt8

from xactor_jax.errors import UserError
from xactor_jax.media.crop import crop_portrait, crop_square, square_at
from xactor_jax.media.faces import FaceBox, FaceDetector, HaarDetector
from xactor_jax.media.image_io import read_image

CROPS = ("auto", "none")


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
        raise UserError(f"no face was found in {name}: give a frontal portrait, or --crop none if it is cropped already.")
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
        crop: "auto": the square around the face, as prepared clips are cropped; "none": the largest square in the middle.

    Raises:
        UserError: the picture cannot be read, or see `choose_face`.
    """
    image = read_image(path)
    if crop == "none":
        height, width = image.shape[:2]
        box = square_at(width / 2, height / 2, float(min(height, width)))
        return Portrait(*(crop_square(image, box, side) for side in sides))
    face = choose_face((detector or HaarDetector()).detect(image), face_index, str(path))
    return Portrait(*(crop_portrait(image, face, side) for side in sides))
