"""Projection of the points of a head into the picture.

    X = R_z(roll) R_x(pitch) R_y(yaw) (p - pivot) + pivot,      (x, y)_picture = X_xy + shift            (1)

p = (x, y, z) in half crops, z towards the viewer. The projection is orthographic, like a face crop from a distance. Positive
yaw turns to the right of the picture, positive pitch nods down, positive roll leans clockwise. Features lie on an ellipsoid,

    z(x, y) = depth sqrt(1 - (x / width)² - (y / height)²),                                              (2)

so that rotation moves near points more than far ones. The head's outline is a silhouette: it does not become narrower when the
head turns, as a flat cut would. Its points are therefore moved only by parallax, x + z sin(yaw), y + z sin(pitch), and then by
roll.                                                                                                    (3)
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
    """One control over time, with an axis for points added."""
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
        """The pose columns of the controls. Shifts are converted from fractions of the crop to half crops."""
        angles = [column(controls, name) for name in ("yaw", "pitch", "roll")]
        return cls(*angles, *(2.0 * column(controls, name) for name in ("shift_x", "shift_y")))

    def rotate(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Points:
        """Picture positions of points [k] or [T, k] on the head (equation 1)."""
        y0 = y - PIVOT[1]
        x1 = x * np.cos(self.yaw) + z * np.sin(self.yaw)
        z1 = z * np.cos(self.yaw) - x * np.sin(self.yaw)
        y1 = y0 * np.cos(self.pitch) + z1 * np.sin(self.pitch)
        return self._lean(x1, y1)

    def slide(self, x: np.ndarray, y: np.ndarray, z: np.ndarray | float) -> Points:
        """Picture positions of points [k] or [T, k] of a silhouette (equation 3)."""
        return self._lean(x + z * np.sin(self.yaw), y - PIVOT[1] + z * np.sin(self.pitch))

    def _lean(self, x: np.ndarray, y: np.ndarray) -> Points:
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        return np.stack([x * cos - y * sin + self.shift_x, x * sin + y * cos + PIVOT[1] + self.shift_y], axis=-1)


def surface(x: np.ndarray, y: np.ndarray, width: float, height: float) -> np.ndarray:
    """Depth of points on the ellipsoid (equation 2), at least slightly in front of the head's middle plane."""
    return DEPTH * np.sqrt(np.maximum(1.0 - (x / width) ** 2 - (y / height) ** 2, 0.04))
