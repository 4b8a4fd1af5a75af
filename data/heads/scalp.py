"""The head as seen from the middle of the skull: where meridians from the crown meet the skin, on every person alike.

Directions are given by the turn about an axis through the crown (0 in front, ±π behind) and the angle from it. The base
mesh is met once; people's skulls are read at the same places of the same triangles.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int32

from data.heads.mesh import PARTS, load_mesh

CENTRE = np.array([0.0, 7.4, 0.42])
TILT = 0.22
"""Middle of the skull on the base mesh; the crown lies `TILT` radians behind its zenith."""

COLUMNS, STEPS = 49, 72
REACH = 2.35
"""Meridians (the last is the first again), places along each, and the angle of the last place from the crown."""


_CANDIDATES = 40
"""Triangles tried for a direction: those whose middles lie closest to it."""


@dataclass(frozen=True)
class Scalp:
    """Places on the skin, [COLUMNS, STEPS]."""

    corner: Int32[np.ndarray, "c s 3"]  # mesh vertices of the triangle met
    share: Float32[np.ndarray, "c s 3"]  # of each
    base: Float32[np.ndarray, "c s 3"]  # on the base mesh
    vertex: Int32[np.ndarray, "c s"]  # nearest mesh vertex

    def on(self, vertices: Float[np.ndarray, "v 3"]) -> Float32[np.ndarray, "c s 3"]:
        """The places on another shape of the mesh."""
        return np.einsum("cskd,csk->csd", vertices[self.corner], self.share).astype(np.float32)


def directions() -> Float[np.ndarray, "c s 3"]:
    turn = np.linspace(-np.pi, np.pi, COLUMNS)[:, None]
    angle = np.linspace(0.0, REACH, STEPS)[None]
    x, y, z = np.sin(angle) * np.sin(turn), np.cos(angle) + 0 * turn, np.sin(angle) * np.cos(turn)
    return np.stack([x, y * np.cos(TILT) + z * np.sin(TILT), z * np.cos(TILT) - y * np.sin(TILT)], axis=-1)


def _skull_faces() -> Int32[np.ndarray, "f 3"]:
    """Faces of the skin above the shoulders, without ears, mouth and what lies behind the eyes."""
    mesh = load_mesh()
    skin = mesh.triangles[mesh.part == PARTS.index("skin")]
    place = mesh.uv[skin].mean(1)
    row, column = (np.clip(x * 512, 0, 511).astype(int) for x in (1.0 - place[:, 1], place[:, 0]))
    return mesh.vertex_of[skin[(place[:, 1] > 0.243) & (mesh.masks["ears"][row, column] < 100)]]


def _meet(rays: Float[np.ndarray, "n 3"], corners: Float[np.ndarray, "n k 3 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Weights of corners and number of the farthest of k triangles that each ray from CENTRE meets (Möller and Trumbore)."""
    a, ab, ac = corners[:, :, 0], corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0]
    p = np.cross(rays[:, None], ac)
    scale = (ab * p).sum(-1)
    scale = 1.0 / np.where(np.abs(scale) < 1e-12, 1e-12, scale)
    q = np.cross(CENTRE - a, ab)
    u, v = ((CENTRE - a) * p).sum(-1) * scale, (q * rays[:, None]).sum(-1) * scale
    weights = np.stack([1.0 - u - v, u, v], axis=-1)
    miss = np.maximum(-weights.min(-1), 0.0)  # 0 for a hit; else the triangle that is missed least
    best = np.argmin(miss - 1e-6 * (ac * q).sum(-1) * scale * (miss < 1e-6), axis=1)
    weights = np.clip(np.take_along_axis(weights, best[:, None, None], 1)[:, 0], 0.0, 1.0)
    return weights / weights.sum(1, keepdims=True), best


@functools.cache
def load_scalp() -> Scalp:
    """Places of the project's mesh; made once (about .3 s)."""
    mesh, faces = load_mesh(), _skull_faces()
    corners, rays = mesh.vertices[faces].astype(np.float64), directions().reshape(-1, 3)
    middle = corners.mean(1) - CENTRE
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    close = np.argpartition(-(rays @ middle.T), _CANDIDATES, axis=1)[:, :_CANDIDATES]
    share, best = _meet(rays, corners[close])
    corner = faces[np.take_along_axis(close, best[:, None], 1)[:, 0]].reshape(COLUMNS, STEPS, 3)
    share = share.reshape(COLUMNS, STEPS, 3).astype(np.float32)
    base = np.einsum("cskd,csk->csd", mesh.vertices[corner], share).astype(np.float32)
    vertex = np.take_along_axis(corner, share.argmax(-1)[..., None], -1)[..., 0]
    return Scalp(corner=corner, share=share, base=base, vertex=vertex)
