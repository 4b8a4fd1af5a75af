"""Boxes of eyes with brows, and of mouth with chin, from the mesh's points, as for rendered heads (data/heads/render.py).

The points lie at the edges of the renderer's two regions on heads at rest. `MARGINS` enlarge their boxes to the renderer's
boxes. Over 96 pictures of 16 heads, half of them turned, nodding or tilted, the intersection over union with the renderer's
boxes is .92 for eyes and .89 for mouths; by average proportions of the face box (`media.crop.component_boxes`) it is .77 and
.63.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, UInt8

from xactor_jax.faces.landmarks import landmarks
from xactor_jax.media.faces import FaceBox
from xactor_jax.media.track import gaussian_smooth

EYES = (104, 333, 151, 68, 298, 71, 301, 156, 383, 111, 340, 35, 265, 117, 346, 119, 348, 47, 277)
MOUTH = (164, 206, 426, 216, 436, 202, 422, 57, 287, 170, 395, 149, 378, 176, 400, 148, 377, 152)

MARGINS = np.array([[0.015, 0.018, 0.031, 0.018], [0.031, 0.028, 0.042, 0.028]])
"""Margins above, left of, below and right of the points of each box, as fractions of the crop."""

SEEN = 0.5
"""Presence from which the mesh is used."""


EVERY = 2
"""Frames from one evaluation of the mesh to the next; one takes 3 to 5 ms of one core."""

SMOOTH = 0.06
"""Seconds, σ of the smoothing over time. A mouth opens and closes in twice that time."""

Look = tuple[Float32[np.ndarray, "2 4"], bool]
"""Boxes of (eyes, mouth) in a picture, each (y0, x0, y1, x1) as fractions of it, and whether the mesh finds a face."""


def component_boxes(points: Float[np.ndarray, "468 d"]) -> Float32[np.ndarray, "2 4"]:
    """Boxes of (eyes, mouth), from points in fractions of the crop."""
    parts = [points[list(part), 1::-1] for part in (EYES, MOUTH)]
    boxes = np.array([[*part.min(0), *part.max(0)] for part in parts]) + MARGINS * (-1, -1, 1, 1)
    return np.clip(boxes, 0.0, 1.0).astype(np.float32)


def look_at(picture: UInt8[np.ndarray, "s s 3"], face: FaceBox) -> Look:
    """Boxes of eyes and mouth in a square picture with a known face box."""
    points, presence = landmarks(picture, face)
    return component_boxes(points[:, :2] / len(picture)), presence > SEEN


def steady(looks: Sequence[Look], otherwise: Float[np.ndarray, "t 2 4"], step: float) -> Float32[np.ndarray, "t 2 4"]:
    """Boxes of eyes and mouth for frames that are `step` seconds apart, smoothed over time.

    Args:
        looks: results of `look_at` at every `EVERY`-th frame, from the first.
        otherwise: boxes of all frames, used where the mesh finds no face.
    """
    frames, looked = np.arange(len(otherwise)), np.arange(0, len(otherwise), EVERY)
    seen = np.array([sees for _, sees in looks])[:, None, None]
    boxes = np.where(seen, np.stack([boxes for boxes, _ in looks]), otherwise[looked]).reshape(len(looked), -1)
    between = np.stack([np.interp(frames, looked, column) for column in boxes.T], axis=1)
    return gaussian_smooth(between, SMOOTH / step).reshape(otherwise.shape).astype(np.float32)
