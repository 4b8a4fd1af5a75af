"""Lashes: fine hairs on the upper lids, made from the mesh's strips by opacity."""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Bool

from data.heads.atlas import BOXES, SIZE, load_atlas
from data.heads.mesh import PARTS, load_mesh
from data.heads.pieces import Picture
from data.heads.regions import EYE, distance_from_lids, smoothstep
from data.heads.traits import Traits

_HAIRS = 60.0
"""Number of hairs per decimetre of lid."""


@functools.cache
def lower_lashes() -> Bool[np.ndarray, "f"]:
    """Faces of the mesh's lower lashes. They are not drawn, since they are too fine to be visible."""
    mesh = load_mesh()
    return (mesh.part == PARTS.index("lashes")) & (mesh.vertices[mesh.faces, 1].mean(1) < EYE[1] - 0.01)


def paint_lashes(rng: np.random.Generator, traits: Traits) -> Picture:
    """Hairs that grow from the lid's edge, thinner and farther apart towards their tips."""
    atlas, box = load_atlas(), BOXES["lashes"]
    mine = np.flatnonzero(atlas.part == PARTS.index("lashes"))
    point = atlas.point[mine]
    far = distance_from_lids(point) / (0.035 + 0.035 * traits.lash)
    lean = np.sign(point[:, 0]) * (np.abs(point[:, 0]) - 0.3) * (1.0 - 0.5 * far)
    hair = 0.5 + 0.5 * np.cos(2 * np.pi * _HAIRS * (lean + 0.003 * np.sin(61.0 * lean + rng.uniform(0, 6))))
    alpha = smoothstep(-0.15, 0.25, hair - far**1.2) * (0.25 + 0.6 * traits.lash)
    picture = np.zeros(SIZE * SIZE, np.float32)
    picture[atlas.texel[mine]] = alpha
    shape = (box.height, box.width)
    colour = np.broadcast_to(np.array([0.04, 0.03, 0.025], np.float32), (*shape, 3))
    return Picture(box, colour, picture.reshape(SIZE, SIZE)[box.rows, box.columns], np.ones(shape, np.float32))
