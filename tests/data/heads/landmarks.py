"""Landmarks of a head, by which tests measure it. They are vertices of the mesh: known for every person and expression."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from data.heads import slits
from data.heads.mesh import PARTS, load_mesh

LEFT, RIGHT = 1.0, -1.0
"""Side of the face, from the person's view, as the sign of x."""

POINTS = {
    "chin": ((0.0, 6.17, 1.40),),
    "crown": ((0.0, 8.49, 0.70),),
    "ear_tops": ((0.80, 7.40, 0.45), (-0.80, 7.40, 0.45)),
    "ear_lobes": ((0.70, 6.95, 0.65), (-0.70, 6.95, 0.65)),
}
"""Points of the mesh (one, or left and right) in decimetres. The landmark is the nearest vertex of the skin."""

BROW = ((0.13, 7.455), (0.21, 7.49), (0.30, 7.51), (0.40, 7.50), (0.52, 7.45))
"""(x, y) along the middle of the left brow, from the nose outwards."""


@dataclass(frozen=True)
class Landmarks:
    """Landmarks in the space of the given vertices. Where there are two, the person's left one comes first."""

    eyes: Float[np.ndarray, "2 3"]
    """Centres of the eyeballs."""
    mouth_corners: Float[np.ndarray, "2 3"]
    lips: Float[np.ndarray, "2 3"]
    """Middles of the edges of the upper and the lower lip."""
    chin: Float[np.ndarray, "3"]
    """Its lowest point."""
    crown: Float[np.ndarray, "3"]
    ear_tops: Float[np.ndarray, "2 3"]
    ear_lobes: Float[np.ndarray, "2 3"]
    brows: Float[np.ndarray, "2 5 3"]
    """Along the middle of the brows, from the nose outwards."""


@functools.cache
def _skin() -> Int[np.ndarray, "s"]:
    mesh = load_mesh()
    return np.unique(mesh.faces[mesh.part == PARTS.index("skin")])


def nearest(points: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, "n"]:
    """The vertices of the mesh's skin nearest to points in the mesh's space."""
    far = np.linalg.norm(load_mesh().vertices[_skin()] - np.asarray(points)[:, None], axis=-1)
    return _skin()[np.argmin(far, axis=1)]


def on_front(points: Float[np.ndarray, "n 2"], side: float) -> Int[np.ndarray, "n"]:
    """The foremost vertices of the mesh's skin at (x, y) on the left half of the face, or at the mirrored positions."""
    skin = load_mesh().vertices[_skin()]
    far = np.linalg.norm(skin[:, :2] - (np.asarray(points) * (side, 1.0))[:, None], axis=-1)
    return _skin()[np.argmin(far - 0.2 * skin[:, 2], axis=1)]


@functools.cache
def _indices() -> dict[str, np.ndarray]:
    out = {name: nearest(np.array(points)) for name, points in POINTS.items()}
    out["brows"] = np.stack([on_front(np.array(BROW), side) for side in (LEFT, RIGHT)])
    ring = load_mesh().rings["mouth"][slits.EDGE + 1]
    x = load_mesh().vertices[ring, 0]
    return out | {"mouth_corners": ring[[np.argmax(x), np.argmin(x)]]}


def landmarks(vertices: Float[np.ndarray, "v 3"]) -> Landmarks:
    """The landmarks of a head, at rest or with an expression."""
    places = {name: vertices[index] for name, index in _indices().items()}
    single = {name: places.pop(name)[0] for name, points in POINTS.items() if len(points) == 1}
    upper, lower = slits.edge(vertices, slits.slit("mouth"))
    middle = len(upper) // 2
    return Landmarks(
        eyes=np.stack([slits.ball(vertices, name)[0] for name in ("eye_left", "eye_right")]),
        lips=np.stack([upper[middle], lower[middle]]),
        **single,
        **places,
    )
