"""The rotated square of a picture that Face Mesh reads: around a face, one and a half times as large, with level eyes.

It is cut as MediaPipe cuts it (mediapipe/modules/face_landmark), with one difference: the box around landmarks is measured
along the sides of the rotated square, so that it is as tight around a tilted face as around an upright one. Positions are
pixels from the picture's upper left corner; the centre of the first pixel is at (0.5, 0.5).
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from xactor_jax.faces import mesh
from xactor_jax.media.faces import FaceBox

ENLARGE = 1.5
"""Side of the square over that of a box from brows to chin, or of the box around all landmarks."""

EYE_CORNERS = (33, 263)
"""Landmarks at the outer corners of the person's right and left eye."""

CASCADE_SIDE, CASCADE_RAISED = 1.11, 0.24
"""OpenCV's cascade box: its side over BlazeFace's; its centre, as a fraction of the way from eyes to mouth (detector.py)."""

CASCADE_LOWER = 0.12
"""How far the centre of BlazeFace's box is below the cascade's, as a fraction of the cascade's side."""


class Region(NamedTuple):
    """A square: its centre and side in pixels, and its clockwise rotation in radians."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    def axes(self) -> Float[np.ndarray, "2 2"]:
        """Unit vectors to its right and downwards, as rows."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        return np.array([[c, s], [-s, c]])


def tilt(right: Float[np.ndarray, "2"], left: Float[np.ndarray, "2"]) -> float:
    """Clockwise rotation of a face in the picture, radians, from the person's right and left eye."""
    return float(np.arctan2(left[1] - right[1], left[0] - right[0]))


def around_box(box: Float[np.ndarray, "4"], angle: float = 0.0) -> Region:
    """Region around a box of BlazeFace (x0, y0, x1, y1)."""
    x, y = (box[:2] + box[2:]) / 2
    return Region(float(x), float(y), ENLARGE * float((box[2:] - box[:2]).max()), angle)


def around_face(face: FaceBox) -> Region:
    """Region around a box as OpenCV's cascades draw it. It is not rotated, since such a box does not give the face's tilt."""
    x, y = face.centre
    return Region(x, y + CASCADE_LOWER * face.size, ENLARGE / CASCADE_SIDE * face.size)


def around_points(points: Float[np.ndarray, "468 d"]) -> Region:
    """Region around landmarks in the picture."""
    angle = tilt(*points[list(EYE_CORNERS), :2])
    axes = Region(0.0, 0.0, 0.0, angle).axes()
    along = points[:, :2] @ axes.T
    low, high = along.min(0), along.max(0)
    x, y = (low + high) / 2 @ axes
    return Region(float(x), float(y), ENLARGE * float((high - low).max()), angle)


def cut(image: UInt8[np.ndarray, "h w 3"], region: Region) -> UInt8[np.ndarray, "192 192 3"]:
    """The region, rotated upright and resized to Face Mesh's input. Beyond the picture its edge is repeated."""
    turn = region.axes().T * region.side / mesh.SIDE
    start = np.array([region.x, region.y]) - turn @ np.full(2, mesh.SIDE / 2 - 0.5) - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    way = np.concatenate([turn, start[:, None]], axis=1)
    return cv2.warpAffine(image, way, (mesh.SIDE, mesh.SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def put_back(points: Float[np.ndarray, "k 3"], region: Region) -> Float[np.ndarray, "k 3"]:
    """Maps points of the cut region, in pixels, back to the picture. Depth is scaled by the same factor."""
    scale = region.side / mesh.SIDE
    flat = (points[:, :2] - mesh.SIDE / 2) * scale @ region.axes() + (region.x, region.y)
    return np.concatenate([flat, points[:, 2:] * scale], axis=1).astype(np.float32)
