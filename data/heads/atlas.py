"""The texture atlas: one picture with all colours of a person, and the place on the head of each of its texels.

Every part of the mesh has a chart of its own and a box in the atlas; other boxes are free for hair and clothes. For every used
texel the place on the head at rest is known. Painting is therefore done in 3-D, and fits every shape.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int32

from data.heads.mesh import PARTS, Mesh, load_mesh

SIZE = 1024
"""Side of the atlas in texels."""

_MARGIN = 3
"""Texels that are painted beyond the edge of an island, so that interpolation at its edge finds colours of the island."""


@dataclass(frozen=True)
class Box:
    """A rectangle of the atlas in texels; row 0 is at the top."""

    left: int
    top: int
    width: int
    height: int

    @property
    def rows(self) -> slice:
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.left + self.width)

    def uv(self, place: Float[np.ndarray, "k 2"]) -> Float32[np.ndarray, "k 2"]:
        """Places in the box (0..1; right and down) as texture coordinates (v up), at least half a texel inside the box."""
        inside = np.clip(place, 0.0, 1.0) * (self.width - 1, self.height - 1) + (self.left + 0.5, self.top + 0.5)
        return (np.stack([inside[:, 0], SIZE - inside[:, 1]], axis=1) / SIZE).astype(np.float32)


BOXES = {
    "skin": Box(0, 0, 640, 640),
    "eye_left": Box(640, 990, 32, 32),
    "eye_right": Box(674, 990, 32, 32),
    "teeth_upper": Box(640, 838, 192, 72),
    "teeth_lower": Box(640, 912, 192, 72),
    "tongue": Box(834, 838, 92, 92),
    "lashes": Box(928, 838, 96, 92),
}
"""Boxes of the mesh's parts."""

HAIR = Box(0, 640, 640, 250)
HAIR_OUTER = Box(0, 892, 638, 132)
STRANDS = Box(642, 0, 382, 140)
CLOTH = Box(642, 142, 382, 250)
TRIM = Box(642, 394, 382, 118)
BEARD = Box(642, 514, 382, 240)
PLAIN = Box(642, 756, 382, 80)
"""Free boxes: two closed layers of hair, ribbons of hair, clothes, collars, beards, and plain colours of small objects."""


@dataclass(frozen=True)
class Atlas:
    """The place on the head of every texel that the mesh's triangles use."""

    uv: Float32[np.ndarray, "c 2"]
    """Texture coordinates of the mesh's corners, v up."""
    texel: Int32[np.ndarray, "n"]
    """Index of each used texel in the flattened picture."""
    part: Int32[np.ndarray, "n"]
    """Index into PARTS."""
    point: Float32[np.ndarray, "n 3"]
    """Its place on the base mesh, decimetres."""
    masks: Mapping[str, Float32[np.ndarray, "n"]]
    """The mesh's masks at the texels, 0 to 1; 0 outside the skin."""


def _place(mesh: Mesh) -> Float32[np.ndarray, "c 2"]:
    """Texture coordinates of the mesh's corners in the atlas."""
    out = np.zeros_like(mesh.uv)
    for index, name in enumerate(PARTS):
        mine = np.unique(mesh.triangles[mesh.part == index])
        out[mine] = BOXES[name].uv(np.stack([mesh.uv[mine, 0], 1.0 - mesh.uv[mine, 1]], axis=1))
    return out


def _owners(uv: Float32[np.ndarray, "c 2"], triangles: Int32[np.ndarray, "f 3"]) -> Int32[np.ndarray, "a a"]:
    """Triangle that covers each texel, margins included; -1 where there is none."""
    owner = np.full((SIZE, SIZE), -1, np.int32)
    corners = np.round((uv[triangles] * (SIZE, -SIZE) + (-0.5, SIZE - 0.5)) * 16).astype(np.int32)
    for index, points in enumerate(corners):
        cv2.polylines(owner, [points], True, index, 2 * _MARGIN, cv2.LINE_8, 4)
    for index, points in enumerate(corners):
        cv2.fillConvexPoly(owner, points, index, cv2.LINE_8, 4)
    return owner


def _shares(uv: Float32[np.ndarray, "c 2"], triangles: np.ndarray, texel: np.ndarray) -> Float32[np.ndarray, "n 3"]:
    """Barycentric coordinates of the centres of texels in their triangles. Those in the margins are moved inside."""
    a, b, c = np.moveaxis(uv[triangles].astype(np.float64), 1, 0)
    row, column = np.divmod(texel, SIZE)
    at = np.stack([column + 0.5, SIZE - row - 0.5], axis=1) / SIZE - a
    ab, ac = b - a, c - a
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    area = np.where(np.abs(area) < 1e-12, 1e-12, area)
    second = (at[:, 0] * ac[:, 1] - at[:, 1] * ac[:, 0]) / area
    third = (ab[:, 0] * at[:, 1] - ab[:, 1] * at[:, 0]) / area
    share = np.clip(np.stack([1.0 - second - third, second, third], axis=1), 0.0, 1.0)
    return (share / share.sum(1, keepdims=True)).astype(np.float32)


def _sample(mask: np.ndarray, uv: Float32[np.ndarray, "n 2"]) -> Float32[np.ndarray, "n"]:
    """Values of a mask at texture coordinates of the mesh's own chart, 0 to 1."""
    side = mask.shape[0]
    x, y = uv[:, 0] * side - 0.5, (1.0 - uv[:, 1]) * side - 0.5
    rows = [cv2.remap(mask, p[None], q[None], cv2.INTER_LINEAR)[0] for p, q in zip(_split(x), _split(y), strict=True)]
    return np.concatenate(rows).astype(np.float32) / 255.0


def _split(values: np.ndarray) -> list[np.ndarray]:
    return np.array_split(values.astype(np.float32), len(values) // 30000 + 1)  # remap takes at most 32767 columns


def _boxed_parts() -> Int32[np.ndarray, "a a"]:
    """Part whose box a texel lies in; -1 elsewhere."""
    out = np.full((SIZE, SIZE), -1, np.int32)
    for index, name in enumerate(PARTS):
        out[BOXES[name].rows, BOXES[name].columns] = index
    return out


@functools.cache
def load_atlas() -> Atlas:
    """The atlas of the project's mesh. It is computed once per process (about .3 s)."""
    mesh = load_mesh()
    uv = _place(mesh)
    owner = _owners(uv, mesh.triangles)
    texel = np.flatnonzero((owner >= 0) & (mesh.part[owner] == _boxed_parts())).astype(np.int32)
    owner = owner.ravel()
    triangle = owner[texel]
    corners, share = mesh.triangles[triangle], _shares(uv, mesh.triangles[triangle], texel)[..., None]
    point = (mesh.vertices[mesh.vertex_of[corners]] * share).sum(1)
    part = mesh.part[triangle].astype(np.int32)
    source = (mesh.uv[corners] * share).sum(1)
    masks = {name: _sample(mask, source) * (part == PARTS.index("skin")) for name, mask in mesh.masks.items()}
    return Atlas(uv=uv, texel=texel, part=part, point=point.astype(np.float32), masks=masks)
