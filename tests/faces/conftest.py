"""A rendered head whose eyes, nose and mouth are known."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import pytest

from data.heads.body import make_figure
from data.heads.framing import face_points, in_picture, moved
from data.performers.performance import Acting
from xactor_jax.labels import CONTROLS, UNITS
from xactor_jax.media.crop import CropSettings
from xactor_jax.media.faces import FaceBox

SIZE = 256

POSES = ({}, {"yaw": 0.4}, {"pitch": 0.25}, {"roll": 0.25}, {"jawOpen": 0.8})
"""What the head does in each frame: at rest, turned right, nodding, tilted, with an open mouth."""


class Shown(NamedTuple):
    """A head in the poses above, and the truth about it as fractions of the picture."""

    frames: np.ndarray  # [5, SIZE, SIZE, 3]
    points: np.ndarray  # [5, 4, 2] right eye, left eye, mouth, nose
    boxes: np.ndarray  # [5, 2, 4]
    wide: np.ndarray  # the first frame, with half a side more on every side

    @property
    def face(self) -> FaceBox:
        """The box that a square was framed about, pixels of a frame."""
        crop = CropSettings()
        middle, side = (SIZE / 2, (0.5 + crop.raise_by) * SIZE), SIZE / crop.enlarge
        return FaceBox(*(c - side / 2 for c in middle), *(c + side / 2 for c in middle))


def acting() -> Acting:
    controls, units = np.zeros((len(POSES), len(CONTROLS))), np.zeros((len(POSES), len(UNITS)), np.float32)
    controls[:, CONTROLS.index("lids")] = 0.8
    for t, pose in enumerate(POSES):
        for name, value in pose.items():
            columns, names = (controls, CONTROLS) if name in CONTROLS else (units, UNITS)
            columns[t, names.index(name)] = value
    return Acting(controls, units)


@pytest.fixture(scope="session")
def head() -> Shown:
    from data.heads.render import render

    acts = acting()
    figure = make_figure(7, 2, 0, acts)
    points = moved(face_points, figure.shape, acts.units)
    points = in_picture(points, figure.shape, figure.scene.lens, figure.framing, acts.controls)
    frames, boxes = figure.render(acts, SIZE), figure.component_boxes(acts)
    first = acts.controls[:1], acts.units[:1]
    who = figure.model, figure.shape, figure.scene
    wide = render(*who, *first, 2 * SIZE, framing=figure.framing, margin=0.5, stage=figure.stage)[0]
    return Shown(frames, points, boxes, wide)


def turn(image: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """The image turned clockwise about its middle, and the affine map of points that does the same."""
    middle = image.shape[1] / 2, image.shape[0] / 2
    way = cv2.getRotationMatrix2D(middle, -degrees, 1.0)
    return cv2.warpAffine(image, way, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), way
