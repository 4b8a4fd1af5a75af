"""Where the points of a head fall in the picture.

    X = R_z(roll) R_x(pitch) R_y(yaw) (p - pivot) + pivot,      (x, y)_picture = X_xy + shift            (1)

p = (x, y, z) in half crops, z towards the viewer; orthographic, as a face crop from a distance. Positive yaw turns to the
right of the picture, positive pitch nods down, positive roll leans clockwise. Features lie on an ellipsoid,

    z(x, y) = depth sqrt(1 - (x / width)² - (y / height)²),                                              (2)

so rotation moves near ones more than far ones. The outline is a silhouette, which does not narrow as a flat cut would: its
points move by parallax alone, x + z sin(yaw), y + z sin(pitch), then roll.                              (3)
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from xactor_jax.labels import CONTROLS

DEPTH = 0.72
PIVOT = (0.0, 0.25, 0.0)

Points = Float[np.ndarray, "t k 2"]


def column(controls: Float[np.ndarray, "t 14"], name: str) -> Float[np.ndarray, "t 1"]:
    """One control over time, with an axis for points."""
    return controls[:, [CONTROLS.index(name)]]


@dataclasses.dataclass(frozen=True)
class Pose:
    """Head pose over T frames; every array is [T, 1]. Angles in radians, shifts in half crops."""

    yaw: Float[np.ndarray, "t 1"]
    pitch: Float[np.ndarray, "t 1"]
    roll: Float[np.ndarray, "t 1"]
    shift_x: Float[np.ndarray, "t 1"]
    shift_y: Float[np.ndarray, "t 1"]

    @classmethod
    def from_controls(cls, controls: Float[np.ndarray, "t 14"]) -> Pose:
        """The pose columns; shifts turn from fractions of the crop into half crops."""
        angles = [column(controls, name) for name in ("yaw", "pitch", "roll")]
        return cls(*angles, *(2.0 * column(controls, name) for name in ("shift_x", "shift_y")))

    def rotate(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Points:
        """Equation 1, for points [k] or [T, k] on the head."""
        y0 = y - PIVOT[1]
        x1 = x * np.cos(self.yaw) + z * np.sin(self.yaw)
        z1 = z * np.cos(self.yaw) - x * np.sin(self.yaw)
        y1 = y0 * np.cos(self.pitch) + z1 * np.sin(self.pitch)
        return self._lean(x1, y1)

    def slide(self, x: np.ndarray, y: np.ndarray, z: np.ndarray | float) -> Points:
        """Equation 3, for points [k] or [T, k] of a silhouette."""
        return self._lean(x + z * np.sin(self.yaw), y - PIVOT[1] + z * np.sin(self.pitch))

    def _lean(self, x: np.ndarray, y: np.ndarray) -> Points:
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        return np.stack([x * cos - y * sin + self.shift_x, x * sin + y * cos + PIVOT[1] + self.shift_y], axis=-1)


def surface(x: np.ndarray, y: np.ndarray, width: float, height: float) -> np.ndarray:
    """Equation 2; the rim is kept in front of the middle plane."""
    return DEPTH * np.sqrt(np.maximum(1.0 - (x / width) ** 2 - (y / height) ** 2, 0.04))
