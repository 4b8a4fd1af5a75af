"""Contact sheets: many people at rest, or a few people (rows) with several expressions (columns)."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, UInt8

from data.performers.bodies import Body
from data.performers.clips import acting_of, make_portrait
from data.performers.controls import NEUTRAL
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
    """Controls of `EXPRESSIONS`; all other controls are at rest."""
    rows = np.tile(NEUTRAL, (len(EXPRESSIONS), 1))
    for row, expression in zip(rows, EXPRESSIONS, strict=True):
        for name, value in expression.items():
            row[CONTROLS.index(name)] = value
    return rows


def contact_sheet(body: Body, seed: int, persons: int, size: int) -> UInt8[np.ndarray, "h w 3"]:
    """Persons 0 to `persons` - 1 in rows, `EXPRESSIONS` in columns."""
    acting = acting_of(expression_controls())
    figures = (body.make_figure(seed, person, 0, acting[:1]) for person in range(persons))
    return np.concatenate([np.concatenate(list(figure.render(acting, size)), axis=1) for figure in figures], axis=0)


def portrait_sheet(body: Body, seed: int, persons: int, size: int) -> UInt8[np.ndarray, "h w 3"]:
    """Persons 0 to `persons` - 1 at rest, row by row, in a sheet about as wide as high."""
    columns = math.ceil(math.sqrt(persons))
    pictures = [make_portrait(body, seed, person, size) for person in range(persons)]
    pictures += [np.zeros_like(pictures[0])] * (-persons % columns)
    rows = [np.concatenate(pictures[start : start + columns], axis=1) for start in range(0, len(pictures), columns)]
    return np.concatenate(rows, axis=0)
