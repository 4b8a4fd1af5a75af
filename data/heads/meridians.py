"""Meridians of skull and shoulders: rays from a centre inside, and the points where they meet the skin.

A ray has a turn about an axis (0 in front, ±π behind, positive on the person's left) and an angle from the axis. The rays are
intersected with the base mesh once. On a person, the points are at the same places of the same triangles, so they correspond.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int32

from data.heads.mesh import PARTS, load_mesh

COLUMNS, STEPS = 49, 72
"""Number of meridians (the last equals the first) and of points along each."""

_CANDIDATES = 40
"""Triangles tested for a ray: those whose centres are closest to its direction."""


@dataclass(frozen=True)
class Star:
    """A centre and the range of its rays."""

    centre: tuple[float, float, float]  # inside the base mesh
    tilt: float  # radians by which the axis leans back from the vertical
    first: float  # angles of the first and the last point from the axis
    last: float
    lowest: float  # only skin above this height is used,
    highest: float  # and below this y + z / 2, which includes the neck but not the jaw
    outermost: bool  # where a ray meets the skin several times: whether the farthest point is used, or the nearest

    @property
    def angle(self) -> Float[np.ndarray, "s"]:
        return np.linspace(self.first, self.last, STEPS)


SKULL = Star((0.0, 7.4, 0.42), 0.22, 0.0, 2.35, 6.1, 99.0, True)
CHIN = Star((0.0, 6.75, 0.7), 0.0, 0.9, 2.7, 5.9, 99.0, False)
SHOULDERS = Star((0.0, 5.25, 0.12), 0.0, 0.2, 2.0, 3.0, 6.55, False)


@dataclass(frozen=True)
class Places:
    """Points on the skin, [COLUMNS, STEPS]."""

    corner: Int32[np.ndarray, "c s 3"]  # mesh vertices of the triangle
    share: Float32[np.ndarray, "c s 3"]  # barycentric coordinates in it
    base: Float32[np.ndarray, "c s 3"]  # on the base mesh
    vertex: Int32[np.ndarray, "c s"]  # nearest mesh vertex

    def on(self, vertices: Float[np.ndarray, "v 3"]) -> Float32[np.ndarray, "c s 3"]:
        """The points on another shape of the mesh."""
        return np.einsum("cskd,csk->csd", vertices[self.corner], self.share).astype(np.float32)


def turns() -> Float[np.ndarray, "c"]:
    return np.linspace(-np.pi, np.pi, COLUMNS)


def _rays(star: Star) -> Float[np.ndarray, "n 3"]:
    turn, angle = turns()[:, None], star.angle[None]
    x, y, z = np.sin(angle) * np.sin(turn), np.cos(angle) + 0 * turn, np.sin(angle) * np.cos(turn)
    tilt = star.tilt
    return np.stack([x, y * np.cos(tilt) + z * np.sin(tilt), z * np.cos(tilt) - y * np.sin(tilt)], axis=-1).reshape(-1, 3)


def _faces(star: Star) -> Int32[np.ndarray, "f 3"]:
    """Faces of the skin without ears, mouth and the inside of the eye sockets."""
    mesh = load_mesh()
    skin = mesh.triangles[mesh.part == PARTS.index("skin")]
    place, middle = mesh.uv[skin].mean(1), mesh.vertices[mesh.vertex_of[skin]].mean(1)
    row, column = (np.clip(x * 512, 0, 511).astype(int) for x in (1.0 - place[:, 1], place[:, 0]))
    outer = ((place[:, 1] > 0.243) | (place[:, 0] < 0.5)) & (mesh.masks["ears"][row, column] < 100)
    within = (middle[:, 1] > star.lowest) & (middle[:, 1] + 0.5 * middle[:, 2] < star.highest)
    return mesh.vertex_of[skin[outer & within]]


def _meet(
    rays: Float[np.ndarray, "n 3"], corners: Float[np.ndarray, "n k 3 3"], outermost: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Barycentric coordinates and index of the triangle, of k, that each ray from the origin meets (Möller and Trumbore)."""
    a, ab, ac = corners[:, :, 0], corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0]
    p = np.cross(rays[:, None], ac)
    scale = (ab * p).sum(-1)
    scale = 1.0 / np.where(np.abs(scale) < 1e-12, 1e-12, scale)
    q = np.cross(-a, ab)
    u, v = (-a * p).sum(-1) * scale, (q * rays[:, None]).sum(-1) * scale
    weights = np.stack([1.0 - u - v, u, v], axis=-1)
    miss = np.maximum(-weights.min(-1), 0.0)  # 0 for a hit; without a hit, the triangle with the smallest miss is taken
    far = (ac * q).sum(-1) * scale * (1e-6 if outermost else -1e-6)
    best = np.argmin(np.where(miss < 1e-6, -far - 1e-4, miss), axis=1)
    weights = np.clip(np.take_along_axis(weights, best[:, None, None], 1)[:, 0], 0.0, 1.0)
    return weights / weights.sum(1, keepdims=True), best


@functools.cache
def load_places(star: Star) -> Places:
    """Points of the project's mesh. They are computed once per process (about .3 s)."""
    mesh, faces, rays = load_mesh(), _faces(star), _rays(star)
    corners = mesh.vertices[faces].astype(np.float64) - star.centre
    middle = corners.mean(1)
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    close = np.argpartition(-(rays @ middle.T), _CANDIDATES, axis=1)[:, :_CANDIDATES]
    share, best = _meet(rays, corners[close], star.outermost)
    corner = faces[np.take_along_axis(close, best[:, None], 1)[:, 0]].reshape(COLUMNS, STEPS, 3)
    share = share.reshape(COLUMNS, STEPS, 3).astype(np.float32)
    base = np.einsum("cskd,csk->csd", mesh.vertices[corner], share).astype(np.float32)
    vertex = np.take_along_axis(corner, share.argmax(-1)[..., None], -1)[..., 0]
    return Places(corner=corner, share=share, base=base, vertex=vertex)


@dataclass(frozen=True)
class Skin:
    """A grid [rows, columns] of points on a person's skin."""

    points: Float32[np.ndarray, "r c 3"]
    base: Float32[np.ndarray, "r c 3"]  # on the base mesh
    out: Float32[np.ndarray, "r c 3"]  # unit vectors away from the centre
    vertex: Int32[np.ndarray, "r c"]  # mesh vertices to follow


def skin_at(star: Star, vertices: Float[np.ndarray, "v 3"], steps: Float[np.ndarray, "r c"]) -> Skin:
    """The skin of a person at (fractional) steps along the meridians."""
    places, column = load_places(star), np.arange(COLUMNS)[None]
    at = np.clip(steps, 0, STEPS - 1.001)
    low = at.astype(int)
    share = (at - low)[..., None]
    mine = places.on(vertices)
    points, base = (grid[column, low] * (1 - share) + grid[column, low + 1] * share for grid in (mine, places.base))
    out = points - (np.array(star.centre) + (mine - places.base).mean((0, 1)))
    out /= np.linalg.norm(out, axis=-1, keepdims=True)
    return Skin(points, base, out, places.vertex[column, np.round(at).astype(int)])
