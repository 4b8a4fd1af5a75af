"""A contact sheet: people in rows, one control or emotion after another in columns."""

from __future__ import annotations

import cv2
import numpy as np
from etils import epath
from jaxtyping import Float, UInt8

from data.performers.controls import NEUTRAL
from data.puppets import face
from data.puppets.identity import make_identity
from xactor_jax.labels import CONTROLS

EXPRESSIONS = (
    {},
    {"jaw": 1.0},
    {"jaw": 0.3, "lip_width": 1.0},
    {"jaw": 0.3, "lip_round": 1.0, "lip_width": -0.5},
    {"smile": 1.0, "jaw": 0.2},
    {"smile": -1.0},
    {"brow_raise": 1.0, "lids": 1.0},
    {"brow_tilt": -1.0, "brow_raise": -0.5},
    {"brow_tilt": 1.0},
    {"lids": 0.0},
    {"gaze_x": 1.0},
    {"gaze_y": -1.0},
    {"yaw": 0.4},
    {"pitch": 0.25},
    {"roll": 0.25},
    {"yaw": -0.3, "pitch": -0.2, "jaw": 0.5, "smile": 0.7},
)


def expression_controls() -> Float[np.ndarray, "n 14"]:
    """Controls of `EXPRESSIONS`, the rest at rest."""
    rows = np.tile(NEUTRAL, (len(EXPRESSIONS), 1))
    for row, expression in zip(rows, EXPRESSIONS, strict=True):
        for name, value in expression.items():
            row[CONTROLS.index(name)] = value
    return rows


def contact_sheet(seed: int, persons: int, size: int) -> UInt8[np.ndarray, "h w 3"]:
    """People 0 to `persons` - 1 in rows, `EXPRESSIONS` in columns."""
    controls = expression_controls()
    rows = [np.concatenate(list(face.render(make_identity(seed, person), controls, size)), axis=1) for person in range(persons)]
    return np.concatenate(rows, axis=0)


def write_contact_sheet(path: epath.PathLike, seed: int, persons: int, size: int) -> None:
    """Writes the sheet as PNG."""
    data = cv2.imencode(".png", contact_sheet(seed, persons, size)[..., ::-1])[1].tobytes()
    epath.Path(path).write_bytes(data)
