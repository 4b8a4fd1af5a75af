"""Checks that a head's skin is intact: no visible triangle is flipped.

n is the normal of a triangle, n₀ that of the same triangle on a head known to be intact. Then

    (1) flipped ⇔ n·n₀ < c

for triangles on the outside of the face that face the viewer in n₀. c = 0 finds folds; a larger c also finds near folds.
"""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from data.heads import slits
from data.heads.mesh import PARTS, load_mesh
from xactor_jax.labels import UNITS

EXTREMES = (
    {"eyeBlink": 1.0},
    {"jawOpen": 0.5, "mouthSmile": 1.0, "cheekSquint": 1.0},
    {"noseSneer": 1.0, "mouthUpperUp": 1.0, "browDown": 1.0, "eyeSquint": 1.0},
    {"jawOpen": 1.0, "mouthUpperUp": 0.6, "mouthLowerDown": 0.6, "eyeWide": 1.0, "browInnerUp": 1.0, "browOuterUp": 1.0},
    {"jawOpen": 0.3, "mouthFunnel": 1.0},
    {"mouthPucker": 1.0},
    {"eyeBlink": 1.0, "eyeSquint": 1.0, "cheekSquint": 1.0, "browDown": 1.0, "mouthPucker": 1.0},
)
"""Expressions that are most likely to break a face, as weights of units; names without Left and Right mean both sides."""

NECK = 6.2
"""Height on the mesh, in decimetres, below which the face ends."""

RIM = 5
"""Number of rings that form the rim of an opening. Their triangles are thinner than a pixel and face in any direction."""

SLIVER = 2e-4
"""Area up to which a triangle is too small to be visible, in square decimetres: 2 square millimetres, at most a pixel."""

FORWARD = 0.0
"""Smallest z of the normal of a triangle that is visible from the front."""


@functools.cache
def extremes() -> Float32[np.ndarray, "n 52"]:
    """EXTREMES as weights of all units."""
    names = [name.removesuffix("Left").removesuffix("Right") for name in UNITS]
    return np.array([[face.get(name, 0.0) for name in names] for face in EXTREMES], np.float32)


@functools.cache
def _face() -> Int[np.ndarray, "n"]:
    """The triangles on the outside of the face."""
    mesh = load_mesh()
    outside = mesh.uv[mesh.triangles, 1].min(axis=1) > slits.OUTSIDE
    high = mesh.vertices[mesh.faces, 1].min(axis=1) > NECK
    rims = np.concatenate([rings[:RIM].ravel() for rings in mesh.rings.values()])
    wide = ~np.isin(mesh.faces, rims).all(axis=1)
    return np.flatnonzero((mesh.part == PARTS.index("skin")) & outside & high & wide)


def _normals(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals [n, 3] and areas [n]."""
    a, b, c = vertices[load_mesh().faces[triangles]].transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    length = np.linalg.norm(normals, axis=1)
    return normals / np.maximum(length, 1e-12)[:, None], 0.5 * length


def turned_over(
    vertices: Float[np.ndarray, "v 3"], whole: Float[np.ndarray, "v 3"], least: float = 0.0
) -> Int[np.ndarray, "k"]:
    """The flipped triangles (equation 1 with c = `least`); `whole` are the vertices of an intact head."""
    triangles = _face()
    (before, old), (now, new) = _normals(whole, triangles), _normals(vertices, triangles)
    seen = (before[:, 2] > FORWARD) & (np.minimum(old, new) > SLIVER)
    return triangles[seen & (np.sum(before * now, axis=1) < least)]


@functools.cache
def _moved_by(target: str) -> Bool[np.ndarray, "v"]:
    mesh = load_mesh()
    out = np.zeros(len(mesh.vertices), bool)
    out[mesh.targets[target].index] = True
    for rings in mesh.rings.values():  # a target that moves an edge also moves the rings around it, by the repair
        out[rings] |= out[rings[slits.EDGE]].any()
    return out


def touches(target: str, triangles: Int[np.ndarray, "k"]) -> bool:
    """Whether a shape target moves a vertex of one of the triangles, directly or by the repair of lids and lips."""
    return bool(_moved_by(target)[load_mesh().faces[triangles]].any())
