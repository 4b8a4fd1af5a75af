"""Reads a portrait and crops it to a square, in the way that the stages were trained."""

from __future__ import annotations

from collections.abc import Callable
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
    crop_square,
    crop_square_on_black,
    portrait_box,
    square_at,
)
from xactor_jax.media.faces import FaceBox, FaceDetector
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


class Place(NamedTuple):
    """The squares of a picture that the motion stage and the video stage see, in its pixels."""

    for_motion: SquareBox
    for_video: SquareBox


class Seen(NamedTuple):
    """The places of the faces that are used, and the squares of all other faces."""

    places: list[Place]
    beside: list[SquareBox]


Choose = Callable[[list[FaceBox]], list[FaceBox]]
"""Chooses faces of those that were found, which come with the most prominent one first."""


def cropped(
    image: UInt8[np.ndarray, "h w 3"],
    name: str,
    sides: tuple[int, int],
    crop: str = "auto",
    face_index: int | None = None,
    detector: FaceDetector | None = None,
) -> Portrait:
    """A portrait, cropped to `sides` pixels (motion stage, video stage).

    Args:
        name: path or name of the picture.
        crop: "auto": the square around the face, as for prepared clips; "released": see `media.crop`; "none": the largest
            square in the middle.
        detector: The face detector. A csv file of boxes refers to the image by its name without the folder, as frame 0.

    Raises:
        UserError: see `choose_face`.
    """
    choose = lambda faces: [choose_face(faces, face_index, name)]
    return cut(image, look(image, name, crop, choose, detector).places[0], sides, crop)


def look(image: UInt8[np.ndarray, "h w 3"], name: str, crop: str, choose: Choose, detector: FaceDetector | None = None) -> Seen:
    """Finds faces in a picture. With the crop "none", its middle square is the only one. Raises the errors of `choose`."""
    if crop == "none":
        return Seen([Place(*[middle_square(image.shape)] * 2)], [])
    faces = finder(detector or make_detector(DETECTOR), epath.Path(name).name)(0, 0.0, image)
    chosen = choose(faces)
    places = [place_of(face, image.shape, crop) for face in (*chosen, *(face for face in faces if face not in chosen))]
    return Seen(places[: len(chosen)], [place.for_video for place in places[len(chosen) :]])


def place_of(face: FaceBox, image_shape: tuple[int, ...], crop: str) -> Place:
    """The squares around a face. Those of X-NeMo's released weights are tight for the motion stage, wide for the other."""
    if crop == "released":
        tight, wide = portrait_box(face, image_shape, RELEASED_MOTION), portrait_box(face, settings=RELEASED_REFERENCE)
        return Place(tight, wide)
    return Place(*[portrait_box(face, image_shape)] * 2)


def cut(image: UInt8[np.ndarray, "h w 3"], place: Place, sides: tuple[int, int], crop: str) -> Portrait:
    """Crops a face. The wide square of "released" is black beyond the picture."""
    cut_for_video = crop_square_on_black if crop == "released" else crop_square
    return Portrait(crop_square(image, place.for_motion, sides[0]), cut_for_video(image, place.for_video, sides[1]))


def middle_square(image_shape: tuple[int, ...]) -> SquareBox:
    """The largest square in the middle of an image."""
    height, width = image_shape[:2]
    return square_at(width / 2, height / 2, float(min(height, width)))
