"""Crop geometry, the same for portraits in sampling and for clips in training.

    side   = enlarge · max(width, height of the face box), but no larger than the image where that still holds
             `tightest` · max(width, height)
    centre = the face box's centre, moved up by `raise_by` · side, so that hair and chin are both inside

The square is then moved into the image as far as it fits. What still lies outside is filled with the nearest edge.
With boxes of OpenCV's cascades (mid-forehead to chin) `enlarge` = 1.6 shows the head from the top of the hair to the neck.

Weights released for X-NeMo (2025) expect other crops. Their reference is a square of twice the size of the face box, black
beyond the picture. The input of their motion encoder is a square of 1.1 times the box, moved into the picture. Their face boxes
are those of BlazeFace, from brows to chin.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from xactor_jax.media.faces import FaceBox

EYES = (0.10, 0.08, 0.52, 0.92)
MOUTH = (0.60, 0.20, 1.02, 0.80)
"""Boxes of eyes with brows, and of the mouth, as (y0, x0, y1, x1) fractions of the face box."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CropSettings:
    """Size and position of the crop; for the symbols see the module docstring."""

    enlarge: float = 1.6
    tightest: float = 1.25
    raise_by: float = 0.03


RELEASED_REFERENCE = CropSettings(enlarge=2.0, tightest=2.0, raise_by=0.0)
RELEASED_MOTION = CropSettings(enlarge=1.1, tightest=1.1, raise_by=0.0)
"""Crops of the weights released for X-NeMo: last paragraph of the module docstring."""


class SquareBox(FaceBox):
    """A square (x0, y0, x1, y1) in pixels, which may reach beyond the image."""


def portrait_box(
    face: FaceBox, image_shape: tuple[int, ...] | None = None, settings: CropSettings = CropSettings()
) -> SquareBox:
    """The square around a face. Without `image_shape` (height, width, …) it is not fitted into the image."""
    side = settings.enlarge * face.size
    if image_shape is not None:
        side = min(side, max(settings.tightest * face.size, float(min(image_shape[:2]))))
    x, y = face.centre
    return square_at(x, y - settings.raise_by * side, side, image_shape)


def square_at(x: float, y: float, side: float, image_shape: tuple[int, ...] | None = None) -> SquareBox:
    """The square with a given centre. Along each axis it is moved into the image, or centred where it does not fit."""
    if image_shape is not None:
        height, width = image_shape[:2]
        x = min(max(x, side / 2), width - side / 2) if side <= width else width / 2
        y = min(max(y, side / 2), height - side / 2) if side <= height else height / 2
    return SquareBox(x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def crop_square(image: UInt8[np.ndarray, "h w 3"], box: FaceBox, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """The square `box` of an image, resized to `size` × `size`. Beyond the image its edge is repeated."""
    side = max(1, round(box.x1 - box.x0))
    x, y = box.centre
    patch = cv2.getRectSubPix(image, (side, side), (x - 0.5, y - 0.5))  # sub-pixel position; replicates the border
    if side == size:
        return patch
    return cv2.resize(patch, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)


def crop_square_on_black(image: UInt8[np.ndarray, "h w 3"], box: FaceBox, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """The same as `crop_square`, but black beyond the image."""
    height, width = image.shape[:2]
    margin = max(0, *(1 + int(edge) for edge in (-box.x0, -box.y0, box.x1 - width, box.y1 - height)))
    framed = cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_CONSTANT)
    moved = SquareBox(box.x0 + margin, box.y0 + margin, box.x1 + margin, box.y1 + margin)
    return crop_square(framed, moved, size)


def within(face: FaceBox, box: FaceBox, size: int) -> FaceBox:
    """A box of the image, in pixels of the crop `box` whose side is `size` pixels."""
    scale = size / (box.x1 - box.x0)
    x0, y0, x1, y1 = ((edge - start) * scale for edge, start in zip(face[:4], (box.x0, box.y0) * 2, strict=True))
    return FaceBox(x0, y0, x1, y1, face.score)


def component_boxes(face: FaceBox, box: FaceBox) -> Float[np.ndarray, "2 4"]:
    """Boxes of (eyes, mouth), y0, x0, y1, x1 as fractions of the crop `box`, by average proportions of the face box."""
    parts = np.array([EYES, MOUTH], np.float32)
    origin = np.array([face.y0, face.x0] * 2, np.float32)
    extent = np.array([face.y1 - face.y0, face.x1 - face.x0] * 2, np.float32)
    inside = (origin + parts * extent - np.array([box.y0, box.x0] * 2, np.float32)) / np.float32(box.x1 - box.x0)
    return np.clip(inside, 0.0, 1.0)
