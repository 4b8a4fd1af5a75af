"""Crops of faces as ArcFace and Deep3D were trained on them, from five points: right eye, left eye, nose, corners of the mouth.

Points are complex numbers u (in the picture) and v (in the template). A similarity v = c u + t turns and scales by c. The one
with the least Σ |c u + t − v|² is (Umeyama 1991; in the plane its rotation and scale are one linear unknown)

    (1) c = Σ (u − ū)* (v − v̄) / Σ |u − ū|²,   t = v̄ − c ū

ArcFace's crop is the picture under (1), 112 × 112 (insightface, python-package/insightface/utils/face_align.py). Deep3D's is
not rotated. It fits a projection of a standard face q ∈ R³, with y upwards:

    (2) x ≈ a·q + t_x,  y ≈ b·q + t_y   (least squares over the five points),   s = (‖a‖ + ‖b‖) / 2

and resizes the picture by 102 / s, so that t comes to the middle of 224 × 224 pixels (sicxu/Deep3DFaceRecon_pytorch,
util/preprocess.py). Lengths are rounded as there.

The five points are taken from the 468 of Face Mesh. Middles of eyes are those between their corners, which blinking does not
move; Deep3D's own rule for 68 points is the same. The tip of the nose is the middle of two points: it lies .49 of the way from
eyes to mouth in MediaPipe's canonical face, .50 in both templates; each single point is at .44 or .54.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

Picture = UInt8[np.ndarray, "h w 3"]
FivePoints = Float[np.ndarray, "5 2"]

FIVE = ((33, 133), (362, 263), (1, 4), (61, 61), (291, 291))
"""The two points of Face Mesh whose middle each of the five points is. Right and left are the person's."""

ARCFACE_SIDE = 112
ARCFACE_POINTS = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
"""The five points in ArcFace's crop, (x, y) in pixels; the centre of the first pixel is (0, 0)."""

DEEP3D_SIDE, DEEP3D_SCALE = 224, 102.0
DEEP3D_POINTS = np.array(
    [
        [-0.31148657, 0.29036078, 0.13377953],
        [0.30979887, 0.28972036, 0.13179526],
        [0.0032535, -0.04617932, 0.55244243],
        [-0.25216928, -0.38133916, 0.22405732],
        [0.2484662, -0.38128236, 0.22235769],
    ]
)
"""The five points of Deep3D's standard face, from its file similarity_Lm3D_all.mat as programs that include them print them."""


def five_points(mesh: Float[np.ndarray, "468 d"]) -> FivePoints:
    """Five points of a face, (x, y) in pixels where the centre of the first pixel is (0, 0), as image libraries count.

    Face Mesh counts from the corner of the picture, half a pixel further up and left.
    """
    return mesh[np.array(FIVE), :2].mean(axis=1) - 0.5


def similarity(source: Float[np.ndarray, "n 2"], target: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "2 3"]:
    """Matrix of the similarity without reflection that maps source points closest to target points (equation 1)."""
    u, v = (points[:, 0] + 1j * points[:, 1] for points in (source, target))
    away = u - u.mean()
    c = np.vdot(away, v - v.mean()) / np.vdot(away, away)
    t = v.mean() - c * u.mean()
    return np.array([[c.real, -c.imag, t.real], [c.imag, c.real, t.imag]])


def arcface_crop(picture: Picture, mesh: Float[np.ndarray, "468 d"]) -> UInt8[np.ndarray, "112 112 3"]:
    """The face as ArcFace reads it; black outside the picture."""
    way = similarity(five_points(mesh), ARCFACE_POINTS)
    return cv2.warpAffine(picture, way, (ARCFACE_SIDE, ARCFACE_SIDE), flags=cv2.INTER_LINEAR)


def deep3d_crop(picture: Picture, mesh: Float[np.ndarray, "468 d"]) -> UInt8[np.ndarray, "224 224 3"]:
    """The face as Deep3D reads it (equation 2); black outside the picture."""
    height, width = picture.shape[:2]
    points = five_points(mesh)
    (x, y), size = projection(np.stack([points[:, 0], height - 1 - points[:, 1]], axis=1))
    scale = DEEP3D_SCALE / size
    new = int(width * scale), int(height * scale)
    left = int(new[0] / 2 - DEEP3D_SIDE / 2 + (x - width / 2) * scale)
    top = int(new[1] / 2 - DEEP3D_SIDE / 2 + (height / 2 - y) * scale)
    resized = Image.fromarray(picture).resize(new, Image.Resampling.BICUBIC)
    return np.asarray(resized.crop((left, top, left + DEEP3D_SIDE, top + DEEP3D_SIDE)))


def projection(points: FivePoints) -> tuple[Float[np.ndarray, "2"], float]:
    """t and s of equation 2, of points with y upwards."""
    known = np.concatenate([DEEP3D_POINTS, np.ones((5, 1))], axis=1)
    (*axes, t) = np.linalg.lstsq(known, points, rcond=None)[0]
    return t, float(np.linalg.norm(axes, axis=0).mean())
