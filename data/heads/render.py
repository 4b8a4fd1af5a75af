"""Pictures of a person: (model, shape, scene, controls and units over time) → frames, and where eyes and mouth are in them.

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

LOOKED_AT = 9
"""Frames of a clip in which the detector is asked."""

_WIDE, _WIDE_SIZE = 0.3, 180
"""Margin and pixels of the pictures shown to it."""

_SMALLEST = 0.25
"""Side of the smallest face that is looked for in them; the face's own is about .39."""

_SCALES = (1.0, 1.033, 1.066)
"""By which they are enlarged in turn: the detector tries sizes in steps of a tenth, so that one size alone misleads it."""

_FARTHEST = 0.2
"""Of a box that is found from the predicted one, in its sides, and of the logarithm of their ratio: others are no faces."""

_SHARP = 0.99
"""Boxes in larger and sharper pictures over those in these."""

_BOX_MARGIN = 0.02
"""About the boxes of eyes and mouth, fractions of the picture."""


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
    """The square that `prepare` cuts out of a wider picture of the clip.

    The predicted one is put right by what the detector finds in some frames. stage: see `Painter`.
    """
    framing, frames, middles, sides = predict(shape, scene.lens, controls, units)
    painter = Painter(model, shape, scene, framing, _WIDE_SIZE, _WIDE, stage, points=1)
    detector = HaarDetector(smallest=_SMALLEST)
    chosen, off = some_of(len(frames), LOOKED_AT), []
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

    framing: of the whole clip, where the rows are only a part of it (`find_frame`); otherwise found from the rows.
    margin: how much more is shown on every side, in sides of the framed square.
    first: number of the first row's frame in the clip; noise and sway follow it.
    stage: see `Painter`.
    """
    framing = framing or find_frame(model, shape, scene, controls, units, stage=stage)
    painter = Painter(model, shape, scene, framing, size, margin, stage)
    frames = np.empty((len(controls), size, size, 3), np.uint8)
    for t, row in enumerate(np.asarray(controls, np.float64)):
        frames[t] = painter.frame(express(shape, units[t]), row, first + t)
    return frames
