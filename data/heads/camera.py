"""Pose of the head in front of the camera, and its projection into the picture.

With rotation R = R_z(-roll) R_x(pitch + `REST`) R_y(yaw) about the neck's joint j, a point p of the mesh moves to

    p' = p + w(p) (R (p - j) + j - p) + v(p) s,         w(p), v(p) in [0, 1]                              (1)

w is 1 on the head and falls to `FOLLOW` on the shoulders, so that these follow a little; v falls to `SHIFT_FOLLOW`; s is the
shift of the controls. A camera `distance` in front of the plane of the eyes (z = e) looks along -z through the centre c of a
square of side a in that plane:

    (x, y)_picture = 1/2 + (p'_x - c_x, c_y - p'_y) f / a,      f = distance / (distance + e - p'_z)      (2)

x points to the right and y down, as fractions of the picture. f / distance is the nearness of data/heads/raster.py.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Float32

from xactor_jax.labels import CONTROLS

FOLLOW = 0.12
"""Share of the head's rotation that moves the shoulders."""

SHIFT_FOLLOW = 0.5
"""Share of the head's shift that moves the shoulders."""

REST = -0.16
"""Pitch of a head that looks straight ahead, radians, because MakeHuman's head hangs by this angle."""

JOINT = (0.0, -0.75, -0.8)
"""Centre of the head's rotation, relative to the point between the eyes, decimetres."""

YAW, PITCH, ROLL, SHIFT_X, SHIFT_Y = (CONTROLS.index(name) for name in ("yaw", "pitch", "roll", "shift_x", "shift_y"))

Points = Float[np.ndarray, "n 3"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lens:
    """Distance of the camera from the eyes, decimetres: from a phone at arm's length (4) to a long lens (25)."""

    distance: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Framing:
    """The square in the plane of the eyes that the picture shows: centre (x, y) and side, decimetres; z of the plane."""

    middle: tuple[float, float]
    side: float
    plane: float


def rotation(yaw: float, pitch: float, roll: float) -> Float32[np.ndarray, "3 3"]:
    """R of the module docstring. Positive angles turn the face to the right of the picture, nod down, lean clockwise."""
    (cy, cp, cr), (sy, sp, sr) = np.cos([yaw, pitch, roll]), np.sin([yaw, pitch, roll])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
    return (about_z @ about_x @ about_y).astype(np.float32)


def _smooth_step(low: float, high: float, value: np.ndarray) -> np.ndarray:
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def head_share(rest: Points, eyes: Float[np.ndarray, "3"]) -> Float32[np.ndarray, "n"]:
    """For points at rest: 1 on the head, 0 on the shoulders, smooth between. `eyes` is the point between the eyes.

    The border runs from below the chin to the nape, so that the whole jaw belongs to the head.
    """
    height = rest[:, 1] - eyes[1] + 0.45 * (rest[:, 2] - eyes[2] + 0.8)
    return _smooth_step(-1.95, -0.95, height).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Pose:
    """The rigid motion of equation 1 for one frame; `joint` and `shift` in decimetres."""

    turn: Float32[np.ndarray, "3 3"]
    joint: Float32[np.ndarray, "3"]
    shift: Float32[np.ndarray, "3"]

    @classmethod
    def from_controls(cls, row: Float[np.ndarray, "14"], eyes: Float[np.ndarray, "3"], side: float) -> Pose:
        """The pose from one row of controls. Shifts are fractions of a picture of `side` decimetres, y down."""
        shift = np.array([row[SHIFT_X] * side, -row[SHIFT_Y] * side, 0.0], np.float32)
        joint = (np.asarray(eyes) + JOINT).astype(np.float32)
        return cls(rotation(float(row[YAW]), float(row[PITCH]) + REST, float(row[ROLL])), joint, shift)

    def apply(self, points: Points, share: Float[np.ndarray, "n"]) -> Float32[np.ndarray, "n 3"]:
        """Moves points (equation 1); `share` comes from `head_share`."""
        turned = (points - self.joint) @ self.turn.T + self.joint
        turning, moving = (low + (1.0 - low) * share[:, None] for low in (np.float32(FOLLOW), np.float32(SHIFT_FOLLOW)))
        return points + turning * (turned - points) + moving * self.shift


def project(points: Points, lens: Lens, framing: Framing) -> Float32[np.ndarray, "n 3"]:
    """Projects points (equation 2): (x, y) as fractions of the picture, and the nearness."""
    nearness = np.float32(1.0) / (np.float32(lens.distance + framing.plane) - points[:, 2])
    scale = nearness * np.float32(lens.distance / framing.side)
    out = np.empty((len(points), 3), np.float32)
    out[:, 0] = 0.5 + (points[:, 0] - np.float32(framing.middle[0])) * scale
    out[:, 1] = 0.5 + (np.float32(framing.middle[1]) - points[:, 1]) * scale
    out[:, 2] = nearness
    return out
