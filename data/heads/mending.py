"""A blend of shape targets put right.

Eyes are balls that lids lie on, lashes grow from the lids, teeth stand behind lips, and lips meet.
"""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Float, Float32, Int

from data.heads import slits
from data.heads.mesh import PARTS, load_mesh

EYES = ("eye_left", "eye_right")

TEETH = ("teeth_upper", "teeth_lower")

STEPS = 4
"""Gauss-Newton steps that find the middle of an eye."""


@functools.cache
def vertices_of(*parts: str) -> Int[np.ndarray, "n"]:
    """The mesh's vertices of some parts."""
    mesh = load_mesh()
    return np.unique(mesh.faces[np.isin(mesh.part, [PARTS.index(part) for part in parts])])


def middle(vertices: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "3"]:
    """The point between the eyes' centres."""
    return np.mean([slits.ball(vertices, name)[0] for name in EYES], axis=0)


def size(vertices: Float[np.ndarray, "v 3"]) -> float:
    """Distance from the point between the eyes to the mouth, relative to the mesh's own."""
    ring = load_mesh().rings["mouth"][0]
    far = [np.linalg.norm(middle(v) - v[ring].mean(axis=0)) for v in (vertices, load_mesh().vertices)]
    return float(far[0] / far[1])


def _centre(edge: np.ndarray, start: np.ndarray, want: np.ndarray) -> np.ndarray:
    """The point that is `want` [n] far from the points `edge` [n, 3], as nearly as can be."""
    for _ in range(STEPS):
        away = edge - start
        length = np.linalg.norm(away, axis=1)
        start = start - np.linalg.lstsq(away / length[:, None], want - length, rcond=None)[0]
    return start


def _place_eye(vertices: np.ndarray, name: str) -> np.ndarray:
    """The eye as a ball again, as large as its opening wants it, and lids lying on it as the mesh's own lie on its ball."""
    mesh, gap, own = load_mesh(), slits.slit(name), vertices_of(name)
    (centre, _), (near, _) = slits.ball(mesh.vertices, name), slits.ball(vertices, name)
    edge, base = vertices[gap.rings[slits.EDGE]], mesh.vertices[gap.rings[slits.EDGE]]
    scale = np.sqrt(np.ptp(edge[:, 0]) / np.ptp(base[:, 0]))
    want = np.linalg.norm(base - centre, axis=1) * scale
    there = _centre(edge, near, want)
    out = vertices.copy()
    out[own] = there + (mesh.vertices[own] - centre) * scale
    away = edge - there
    return slits.shift(out, gap, away * (want / np.linalg.norm(away, axis=1) - 1.0)[:, None])


def _grow_lashes(vertices: np.ndarray, name: str) -> np.ndarray:
    """Lashes as on the mesh, where the person's lids are."""
    mesh, gap = load_mesh(), slits.slit(name)
    roots = gap.rings[slits.EDGE][gap.place]
    out = vertices.copy()
    out[gap.lashes] = mesh.vertices[gap.lashes] + vertices[roots] - mesh.vertices[roots]
    return out


def _place_teeth(vertices: np.ndarray) -> np.ndarray:
    """Teeth and tongue where the inside of the lips is, as wide as the mouth."""
    mesh, own = load_mesh(), vertices_of(*TEETH, "tongue")
    ring = mesh.rings["mouth"][0]
    here, there = mesh.vertices[ring], vertices[ring]
    scale = np.ones(3, np.float32)
    scale[0] = np.ptp(there[:, 0]) / np.ptp(here[:, 0])
    out = vertices.copy()
    out[own] = there.mean(axis=0) + (mesh.vertices[own] - here.mean(axis=0)) * scale
    return out


def close_lips(vertices: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
    """The vertices with lips that touch."""
    mouth = slits.slit("mouth")
    return slits.part_edges(vertices, mouth, slits.upwards(slits.SEAL - slits.opening(vertices, mouth)))


def mend(vertices: Float32[np.ndarray, "v 3"]) -> Float32[np.ndarray, "v 3"]:
    """A blend with eyes, lashes, teeth and lips put right, moved so that the eyes' middle is the mesh's own."""
    for name in EYES:
        vertices = slits.keep_out(_grow_lashes(_place_eye(vertices, name), name), name)
    vertices = close_lips(_place_teeth(vertices))
    return (vertices + middle(load_mesh().vertices) - middle(vertices)).astype(np.float32)
