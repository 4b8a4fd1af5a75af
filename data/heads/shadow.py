"""How much of a parallel light reaches points, and how much of the sky does.

What stands nearest to the light is rasterised at low resolution as seen from it, as exp(-c n), n the nearness to the light in
decimetres. Blurred, this tells how freely a point of nearness p is reached (exponential shadow maps, Annen et al. 2008):

    light(p) = min(1, exp(c (p + bias)) · blur[exp(-c n)])                                                (1)

The blur stands for the size of the lamp. Averages of (1) over many directions d say how open a point of normal n is to its
surroundings (ambient occlusion):

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
"""Pixels of a shadow map."""

SHARPNESS = np.float32(12.0)
"""c of equation 1, per decimetre; nearness spans at most 6 dm, so that exponents stay in range of float32."""

BIAS = np.float32(0.035)
"""Decimetres by which points are lifted towards the light, so that a surface does not shade itself."""

DIRECTIONS = 32
"""Of equation 2."""

Points = Float32[np.ndarray, "n 3"]


@dataclasses.dataclass(frozen=True)
class Box:
    """What a shadow map shows: a cube about `middle` with sides of 2 · `reach` decimetres."""

    middle: Float32[np.ndarray, "3"]
    reach: float


def _axes(direction: Float32[np.ndarray, "3"]) -> Float32[np.ndarray, "3 3"]:
    """Rows: right, down and towards the light, as seen from it."""
    up = np.array([0.0, 1.0, 0.0] if abs(direction[1]) < 0.9 else [0.0, 0.0, -1.0])
    right = unit(np.cross(up, direction))
    return np.stack([right, -np.cross(direction, right), direction]).astype(np.float32)


def reached(
    points: Points, casters: Int32[np.ndarray, "f 3"], direction: np.ndarray, size: float, box: Box
) -> Float32[np.ndarray, "n"]:
    """Equation 1: the share (0 … 1) of a light of half-angle `size` from `direction` that comes to each of `points`."""
    seen = (points - box.middle) @ _axes(np.asarray(direction, np.float32)).T
    seen[:, :2] = (seen[:, :2] + np.float32(box.reach)) * np.float32(0.5 * SIDE / box.reach)
    seen[:, 2] += np.float32(box.reach)
    lit = casters[signed_areas(seen, casters) > 0]
    depth = nearest(cover(seen, lit, SIDE), SIDE)[1].reshape(SIDE, SIDE)
    blur = 0.7 + 0.5 * size * SIDE / (2.0 * box.reach)
    light = cv2.GaussianBlur(np.exp(-SHARPNESS * depth), (0, 0), blur, borderType=cv2.BORDER_REPLICATE)
    there = cv2.remap(light, seen[:, 0] - 0.5, seen[:, 1] - 0.5, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.minimum(there.ravel() * np.exp(SHARPNESS * (seen[:, 2] + BIAS)), np.float32(1.0))


def sky_directions(count: int) -> Float32[np.ndarray, "d 3"]:
    """Evenly over the sphere (Fibonacci's spiral)."""
    turn = np.arange(count) * np.pi * (3.0 - np.sqrt(5.0))
    y = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    r = np.sqrt(1.0 - y * y)
    return np.stack([r * np.cos(turn), y, r * np.sin(turn)], axis=1).astype(np.float32)


def openness(points: Points, normals: Points, casters: Int32[np.ndarray, "f 3"], box: Box) -> Float32[np.ndarray, "n"]:
    """Equation 2."""
    got, all_of_it = np.zeros(len(points), np.float32), np.full(len(points), 1e-6, np.float32)
    for direction in sky_directions(DIRECTIONS):
        facing = np.maximum(normals @ direction, 0.0)
        got += facing * reached(points, casters, direction, 0.3, box)
        all_of_it += facing
    return got / all_of_it
