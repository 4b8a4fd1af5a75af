"""Where a head stands before the camera, and where that falls in the picture.

With rotation R = R_z(-roll) R_x(pitch + `REST`) R_y(yaw) about the neck's joint j, a point p of the mesh comes to

    p' = p + w(p) (R (p - j) + j - p) + v(p) s,         w(p), v(p) in [0, 1]                              (1)

where w is 1 on the head and falls to `FOLLOW` on the shoulders, which so follow a little; s is the shift of the controls. A
camera `distance` before the plane of the eyes (z = e) looks along -z through the middle c of a square of side a in that plane:

    (x, y)_picture = 1/2 + (p'_x - c_x, c_y - p'_y) f / a,      f = distance / (distance + e - p'_z)      (2)

with x to the right and y down, as fractions of the picture. f / distance is the nearness of data/heads/raster.py.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Float32

from xactor_jax.labels import CONTROLS

FOLLOW = 0.12
"""Share of the head's turning that the shoulders take part in."""

SHIFT_FOLLOW = 0.5
"""Share of the head's shifts that the shoulders take part in."""

REST = -0.16
"""Pitch of the head when it looks straight ahead, radians: MakeHuman's hangs by so much."""

JOINT = (0.0, -0.75, -0.8)
"""Where the head turns, from the middle between the eyes, decimetres."""

YAW, PITCH, ROLL, SHIFT_X, SHIFT_Y = (CONTROLS.index(name) for name in ("yaw", "pitch", "roll", "shift_x", "shift_y"))

Points = Float[np.ndarray, "n 3"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lens:
    """From where a face is taken: a telephone at arm's length (4) to a long lens (25); decimetres from the eyes."""

    distance: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Framing:
    """The square of the eyes' plane that the picture shows: middle (x, y) and side in decimetres; that plane's z."""

    middle: tuple[float, float]
    side: float
    plane: float


def rotation(yaw: float, pitch: float, roll: float) -> Float32[np.ndarray, "3 3"]:
    """R of the module docstring: face to the right, nod down, lean clockwise as seen."""
    (cy, cp, cr), (sy, sp, sr) = np.cos([yaw, pitch, roll]), np.sin([yaw, pitch, roll])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
    return (about_z @ about_x @ about_y).astype(np.float32)


def _smooth_step(low: float, high: float, value: np.ndarray) -> np.ndarray:
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def head_share(rest: Points, eyes: Float[np.ndarray, "3"]) -> Float32[np.ndarray, "n"]:
    """How far points at rest belong to the head (1) or the shoulders (0). `eyes`: the middle between them.

    The border runs from under the chin to the nape, so that the jaw turns whole.
    """
    height = rest[:, 1] - eyes[1] + 0.45 * (rest[:, 2] - eyes[2] + 0.8)
    return _smooth_step(-1.95, -0.95, height).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Pose:
    """Equation 1 for one frame; `joint` and `shift` in decimetres."""

    turn: Float32[np.ndarray, "3 3"]
    joint: Float32[np.ndarray, "3"]
    shift: Float32[np.ndarray, "3"]

    @classmethod
    def from_controls(cls, row: Float[np.ndarray, "14"], eyes: Float[np.ndarray, "3"], side: float) -> Pose:
        """The pose columns of one frame; shifts are fractions of a picture of `side` decimetres, y down."""
        shift = np.array([row[SHIFT_X] * side, -row[SHIFT_Y] * side, 0.0], np.float32)
        joint = (np.asarray(eyes) + JOINT).astype(np.float32)
        return cls(rotation(float(row[YAW]), float(row[PITCH]) + REST, float(row[ROLL])), joint, shift)

    def apply(self, points: Points, share: Float[np.ndarray, "n"]) -> Float32[np.ndarray, "n 3"]:
        """Equation 1; `share` as of `head_share`."""
        turned = (points - self.joint) @ self.turn.T + self.joint
        turning, moving = (low + (1.0 - low) * share[:, None] for low in (np.float32(FOLLOW), np.float32(SHIFT_FOLLOW)))
        return points + turning * (turned - points) + moving * self.shift


def project(points: Points, lens: Lens, framing: Framing) -> Float32[np.ndarray, "n 3"]:
    """Equation 2: (x, y) as fractions of the picture, and the nearness."""
    nearness = np.float32(1.0) / (np.float32(lens.distance + framing.plane) - points[:, 2])
    scale = nearness * np.float32(lens.distance / framing.side)
    out = np.empty((len(points), 3), np.float32)
    out[:, 0] = 0.5 + (points[:, 0] - np.float32(framing.middle[0])) * scale
    out[:, 1] = 0.5 + (np.float32(framing.middle[1]) - points[:, 1]) * scale
    out[:, 2] = nearness
    return out
