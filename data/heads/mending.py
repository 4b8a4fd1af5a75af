"""Repairs a blend of shape targets.

After it, eyes are balls on which lids lie, lashes start at the lids, teeth are behind the lips, and lips meet.
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
"""Number of Gauss-Newton steps that find the centre of an eye."""


@functools.cache
def vertices_of(*parts: str) -> Int[np.ndarray, "n"]:
    """The mesh's vertices of some parts."""
    mesh = load_mesh()
    return np.unique(mesh.faces[np.isin(mesh.part, [PARTS.index(part) for part in parts])])


def middle(vertices: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "3"]:
    """The point between the eyes' centres."""
    return np.mean([slits.ball(vertices, name)[0] for name in EYES], axis=0)


def size(vertices: Float[np.ndarray, "v 3"]) -> float:
    """Size of the face relative to the mesh's: the distance from the point between the eyes to the mouth."""
    ring = load_mesh().rings["mouth"][0]
    far = [np.linalg.norm(middle(v) - v[ring].mean(axis=0)) for v in (vertices, load_mesh().vertices)]
    return float(far[0] / far[1])


def _centre(edge: np.ndarray, start: np.ndarray, want: np.ndarray) -> np.ndarray:
    """The point whose distances from the points `edge` [n, 3] are closest to `want` [n]."""
    for _ in range(STEPS):
        away = edge - start
        length = np.linalg.norm(away, axis=1)
        start = start - np.linalg.lstsq(away / length[:, None], want - length, rcond=None)[0]
    return start


def _place_eye(vertices: np.ndarray, name: str) -> np.ndarray:
    """Makes an eye a ball again, scaled to its opening, and lays the lids on it as on the mesh."""
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
    """Moves lashes with the lids of the person."""
    mesh, gap = load_mesh(), slits.slit(name)
    roots = gap.rings[slits.EDGE][gap.place]
    out = vertices.copy()
    out[gap.lashes] = mesh.vertices[gap.lashes] + vertices[roots] - mesh.vertices[roots]
    return out


def _place_teeth(vertices: np.ndarray) -> np.ndarray:
    """Moves teeth and tongue to the inside of the lips, and scales them to the width of the mouth."""
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
    """A blend with repaired eyes, lashes, teeth and lips, moved so that the point between the eyes is the mesh's."""
    for name in EYES:
        vertices = slits.keep_out(_grow_lashes(_place_eye(vertices, name), name), name)
    vertices = close_lips(_place_teeth(vertices))
    return (vertices + middle(load_mesh().vertices) - middle(vertices)).astype(np.float32)
