"""Renders a person: (model, shape, scene, controls and units over time) → frames, and boxes of eyes and mouth in them.

Frames do not depend on each other, but all are framed by one square, the one that `prepare` would cut.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from data.heads.camera import Framing
from data.heads.framing import (
    EYES_WITH_BROWS,
    MOUTH_WITH_CHIN,
    Controls,
    Units,
    frame_boxes,
    in_picture,
    moved,
    predict,
    some_of,
    within,
)
from data.heads.model import Model
from data.heads.painter import Painter
from data.heads.scene import Scene
from data.heads.shape import Shape, express
from data.heads.stage import Stage
from xactor_jax.media.faces import FaceDetector, HaarDetector

DETECTED_FRAMES = 9
"""Number of frames of a clip in which the face is detected."""

_WIDE, _WIDE_SIZE = 0.3, 180
"""Margin (fraction of the framed square's side) and side in pixels of the pictures given to the detector."""

_SMALLEST = 0.25
"""Side of the smallest face that the detector looks for in them; the face's own is about .39."""

_SCALES = (1.0, 1.033, 1.066)
"""Scales of these pictures, used in turn: the detector tries sizes in steps of a tenth, so a single size would bias it."""

_FARTHEST = 0.2
"""Largest distance of a detected box from the predicted one, in sides, and log ratio of their sides; others are no faces."""

_SHARP = 0.99
"""Ratio of the boxes detected in larger and sharper pictures to those detected in these."""

_BOX_MARGIN = 0.02
"""Margin around the boxes of eyes and mouth, fraction of the picture."""


def _look(detector: FaceDetector, picture: UInt8[np.ndarray, "s s 3"], scale: float) -> Float[np.ndarray, "3"] | None:
    """(x, y, side) of the box of the most prominent face, in fractions of the framed square."""
    shown = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    faces = detector.detect(shown)
    if not faces:
        return None
    return np.array([*faces[0].centre, faces[0].size]) * (1.0 + 2.0 * _WIDE) / len(shown) - (_WIDE, _WIDE, 0.0)


def find_frame(
    model: Model, shape: Shape, scene: Scene, controls: Controls, units: Units, *, stage: Stage | None = None
) -> Framing:
    """The square that `prepare` would cut out of a wider picture of the clip.

    The predicted square is corrected by detections in some frames. For `stage` see `Painter`.
    """
    framing, frames, middles, sides = predict(shape, scene.lens, controls, units)
    painter = Painter(model, shape, scene, framing, _WIDE_SIZE, _WIDE, stage, points=1)
    detector = HaarDetector(smallest=_SMALLEST)
    chosen, off = some_of(len(frames), DETECTED_FRAMES), []
    looks = np.resize(chosen, max(len(chosen), len(_SCALES)))
    for place, scale in zip(looks, itertools.cycle(_SCALES), strict=False):
        t = frames[place]
        found = _look(detector, painter.frame(express(shape, units[t]), controls[t], t), scale)
        if found is not None:
            off.append([*(found[:2] - middles[place]) / sides[place], found[2] / sides[place]])
    off = [o for o in off if np.hypot(o[0], o[1]) < _FARTHEST and abs(np.log(o[2])) < _FARTHEST]
    if not off:
        return framing
    x, y, larger = np.median(off, axis=0)
    return frame_boxes(middles + sides[:, None] * (x, y), sides * larger * _SHARP, framing)


def component_boxes(
    model: Model, shape: Shape, scene: Scene, controls: Controls, units: Units, *, framing: Framing | None = None
) -> Float[np.ndarray, "t 2 4"]:
    """Boxes of (eyes with brows, mouth with chin), each (y0, x0, y1, x1) as fractions of the picture."""
    framing = framing or find_frame(model, shape, scene, controls, units)
    parts = [within(EYES_WITH_BROWS), within(MOUTH_WITH_CHIN)]
    points = moved(lambda vertices: vertices[np.concatenate(parts)], shape, units)
    points = in_picture(points, shape, scene.lens, framing, controls)
    boxes = []
    for part in np.split(points, [len(parts[0])], axis=1):
        low, high = part.min(axis=1) - _BOX_MARGIN, part.max(axis=1) + _BOX_MARGIN
        boxes.append(np.concatenate([low[:, ::-1], high[:, ::-1]], axis=1))
    return np.clip(np.stack(boxes, axis=1), 0.0, 1.0).astype(np.float32)


def render(
    model: Model,
    shape: Shape,
    scene: Scene,
    controls: Controls,
    units: Units,
    size: int,
    *,
    framing: Framing | None = None,
    margin: float = 0.0,
    first: int = 0,
    stage: Stage | None = None,
) -> UInt8[np.ndarray, "t size size 3"]:
    """RGB frames of a person, one per row of controls (`xactor_jax.labels.CONTROLS`) and units (`UNITS`).

    Args:
        framing: square of the whole clip (`find_frame`), if the rows are only a part of it; by default found from the rows.
        margin: additional border on every side, as a fraction of the framed square's side.
        first: number of the first row's frame in the clip; noise and sway depend on it.
        stage: see `Painter`.
    """
    framing = framing or find_frame(model, shape, scene, controls, units, stage=stage)
    painter = Painter(model, shape, scene, framing, size, margin, stage)
    frames = np.empty((len(controls), size, size, 3), np.uint8)
    for t, row in enumerate(np.asarray(controls, np.float64)):
        frames[t] = painter.frame(express(shape, units[t]), row, first + t)
    return frames
