"""Shadows of a parallel light, and ambient occlusion.

The surfaces nearest to the light are rasterised at low resolution as seen from it, which gives a nearness m at every pixel of
the shadow map. Light at a point of nearness p is the share of pixels q around its own at which no surface is in front of it
(percentage-closer filtering, Reeves, Salesin and Cook 1987; the radius of q is that of the lamp's half-shadow):

    light(p) = mean_q clip(1 + (p + bias - m_q) / soft, 0, 1)                                             (1)

The average of (1) over many directions d is the openness of a point with normal n to its surroundings (ambient occlusion):

    openness = Σ_d max(0, n·d) light_d(p) / Σ_d max(0, n·d)                                               (2)
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from jaxtyping import Float32, Int32

from data.heads.light import unit
from data.heads.raster import cover, nearest, signed_areas

SIDE = 96
"""Side of a shadow map, pixels."""

SOFT = np.float32(0.06)
"""Distance in decimetres over which light fades behind an edge."""

BIAS, LIFT = np.float32(0.03), np.float32(0.03)
"""Decimetres by which points are moved towards the light, and along their normals; else a surface would shade itself."""

DIRECTIONS = 40
"""Number of directions d in equation 2."""

_RING = np.array(
    [(0, 0), (1, 0.3), (0.3, -1), (-1, -0.3), (-0.3, 1), (0.45, 0.55), (-0.55, 0.45), (0.55, -0.45), (-0.45, -0.55)]
)
"""Offsets of the pixels q in equation 1, in radii of the half-shadow."""

_HALF_SHADOW = 0.5
"""Assumed distance from the surface that casts the shadow (nose, brow, chin), decimetres. It gives the shadow's softness."""

Points = Float32[np.ndarray, "n 3"]


@dataclasses.dataclass(frozen=True)
class Box:
    """The cube that a shadow map shows: centre `middle`, side 2 · `reach` decimetres."""

    middle: Float32[np.ndarray, "3"]
    reach: float


def _axes(direction: Float32[np.ndarray, "3"]) -> Float32[np.ndarray, "3 3"]:
    """Rows: right, down and towards the light, as seen from the light."""
    up = np.array([0.0, 1.0, 0.0] if abs(direction[1]) < 0.9 else [0.0, 0.0, -1.0])
    right = unit(np.cross(up, direction))
    return np.stack([right, -np.cross(direction, right), direction]).astype(np.float32)


def reached(
    receivers: Points, points: Points, casters: Int32[np.ndarray, "f 3"], direction: np.ndarray, size: float, box: Box
) -> Float32[np.ndarray, "n"]:
    """Share (0 … 1) of the light of half-angle `size` from `direction` that reaches `receivers` (equation 1).

    The triangles `casters` of `points` cast shadows.
    """
    axes = _axes(np.asarray(direction, np.float32)).T
    seen = _in_map(points, axes, box)
    lit = casters[signed_areas(seen, casters) > 0]
    depth = nearest(cover(seen, lit, SIDE), SIDE)[1].reshape(SIDE, SIDE)
    radius = 0.8 + size * _HALF_SHADOW * 0.5 * SIDE / box.reach
    return _closer(depth, _in_map(receivers, axes, box), np.rint(radius * _RING).astype(int))


def _in_map(points: Points, axes: Float32[np.ndarray, "3 3"], box: Box) -> Points:
    """(column, row, nearness) of points in a shadow map."""
    seen = (points - box.middle) @ axes
    seen[:, :2] = (seen[:, :2] + np.float32(box.reach)) * np.float32(0.5 * SIDE / box.reach)
    seen[:, 2] += np.float32(box.reach)
    return seen


def _closer(depth: Float32[np.ndarray, "side side"], seen: Points, offsets: np.ndarray) -> Float32[np.ndarray, "n"]:
    """The mean in equation 1, for points (column, row, nearness)."""
    border = int(np.abs(offsets).max())
    wide = cv2.copyMakeBorder(depth, border, border, border, border, cv2.BORDER_REPLICATE)
    column, row = (np.clip(seen[:, i], 0, SIDE - 1).astype(np.int64) + border for i in (0, 1))
    at = row * wide.shape[1] + column
    limit = (seen[:, 2] + BIAS + SOFT) / SOFT
    out = np.zeros(len(seen), np.float32)
    for right, down in offsets.tolist():
        there = np.take(wide.ravel(), at + (down * wide.shape[1] + right))
        there *= -1.0 / SOFT
        there += limit
        out += np.clip(there, 0.0, 1.0, out=there)
    return out / np.float32(len(offsets))


def sky_directions(count: int) -> Float32[np.ndarray, "d 3"]:
    """Directions that are evenly distributed over the sphere (Fibonacci's spiral)."""
    turn = np.arange(count) * np.pi * (3.0 - np.sqrt(5.0))
    y = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    r = np.sqrt(1.0 - y * y)
    return np.stack([r * np.cos(turn), y, r * np.sin(turn)], axis=1).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Openness:
    """Openness of n points (equation 2), and the light from each of the `sky_directions` that it is the average of."""

    whole: Float32[np.ndarray, "n"]
    parts: Float32[np.ndarray, "d n"]

    def towards(self, direction: Float32[np.ndarray, "3"]) -> Float32[np.ndarray, "n"]:
        """Light from about `direction`: a soft shadow, for the pose in which the openness was computed."""
        near = np.maximum(sky_directions(len(self.parts)) @ direction, 0.0) ** 16
        return (near / near.sum()).astype(np.float32) @ self.parts


def openness(points: Points, normals: Points, casters: Int32[np.ndarray, "f 3"], box: Box) -> Openness:
    """The openness of points (equation 2)."""
    directions = sky_directions(DIRECTIONS)
    lifted = points + LIFT * normals
    parts = np.stack([reached(lifted, points, casters, direction, 0.3, box) for direction in directions])
    facing = np.maximum(directions @ normals.T, 0.0)
    return Openness((facing * parts).sum(0) / np.maximum(facing.sum(0), np.float32(1e-6)), parts)
