"""Regions of the head at rest, as smooth functions over the skin's texels: cheeks, beard, scalp and others.

The azimuth of a place is 0 in front and ±π behind, positive on the person's left. Lengths are decimetres on the base mesh. All
knowledge of painting functions about positions on the face is in this module.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int32
from scipy.spatial import cKDTree

from data.heads.atlas import BOXES, SIZE, load_atlas
from data.heads.mesh import PARTS, Mesh, load_mesh

AXIS_Z = 0.35
"""Depth of the vertical axis about which azimuths are measured."""

HAIRLINE = np.array(
    [
        (0.0, 7.99),
        (0.3, 7.985),
        (0.55, 7.94),
        (0.75, 7.83),
        (0.86, 7.62),
        (0.95, 7.38),
        (1.02, 7.12),
        (1.12, 7.02),
        (1.22, 7.12),
        (1.32, 7.38),
        (1.6, 7.42),
        (1.8, 7.1),
        (2.1, 6.78),
        (2.6, 6.62),
        (3.2, 6.6),
    ]
)
"""Height of the hairline by azimuth: forehead, temple, sideburn, above the ear, nape."""

EYE = (0.308, 7.285)
MOUTH = 6.635
"""Centres of the left eye (x, y) and of the mouth (y)."""


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between; reversed where `low` is above `high`."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def azimuth(point: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n"]:
    return np.arctan2(point[:, 0], point[:, 2] - AXIS_Z)


def above_hairline(point: Float[np.ndarray, "n 3"], table: Float[np.ndarray, "h 2"] = HAIRLINE) -> Float[np.ndarray, "n"]:
    """Approximate distance from the hairline in decimetres; positive inside the hair."""
    angle = np.abs(azimuth(point))
    line = np.interp(angle, table[:, 0], table[:, 1])
    slope = (np.interp(angle + 0.05, table[:, 0], table[:, 1]) - np.interp(angle - 0.05, table[:, 0], table[:, 1])) / 0.1
    return (point[:, 1] - line) / np.sqrt(1.0 + slope**2)


def _spot(point: np.ndarray, x: float, y: float, wide: float, high: float) -> np.ndarray:
    """A Gaussian spot on both sides of the face (in the middle for x = 0)."""
    value = ((np.abs(point[:, 0]) - x) / wide) ** 2 + ((point[:, 1] - y) / high) ** 2
    return np.exp(-value) * smoothstep(0.6, 0.9, point[:, 2])


def beard(point: np.ndarray) -> np.ndarray:
    """Where men's beards grow: upper lip, chin, cheeks up to the ear, upper neck."""
    x, y, z = np.abs(point[:, 0]), point[:, 1], point[:, 2]
    side = smoothstep(0.36, 0.62, x)
    upper = 6.83 - 0.16 * np.exp(-(((x - 0.42) / 0.13) ** 2)) + 0.3 * smoothstep(1.0, 0.68, z) * side
    below = smoothstep(upper + 0.03, upper - 0.07, y)
    neck = smoothstep(6.0, 6.32, y + 0.12 * smoothstep(1.0, 0.5, z)) * smoothstep(0.44, 0.6, z)
    bare = 0.75 * np.exp(-((x / 0.16) ** 2) - ((y - 6.45) / 0.035) ** 2) + 0.5 * np.exp(-((x / 0.03) ** 2)) * (y > 6.7)
    return below * neck * (1.0 - bare)


def moustache(point: np.ndarray) -> np.ndarray:
    x, y = np.abs(point[:, 0]), point[:, 1]
    upper = 6.845 - 0.35 * np.maximum(x - 0.1, 0.0)
    corner = smoothstep(0.4, 0.3, x)
    return smoothstep(upper + 0.015, upper - 0.03, y) * smoothstep(6.56, 6.64, y + 0.1 * x) * corner * (point[:, 2] > 1.0)


def goatee(point: np.ndarray) -> np.ndarray:
    x, y = np.abs(point[:, 0]), point[:, 1]
    ring = smoothstep(0.41, 0.32, x) * smoothstep(6.72, 6.6, y) * smoothstep(6.0, 6.15, y)
    return ring * smoothstep(0.75, 0.95, point[:, 2]) * (1.0 - 0.8 * np.exp(-((x / 0.2) ** 2) - ((y - 6.5) / 0.05) ** 2))


@dataclass(frozen=True)
class Regions:
    """Smooth functions over the skin's texels, 0 to 1 unless noted."""

    texel: Int32[np.ndarray, "n"]  # index in the flattened atlas
    point: Float32[np.ndarray, "n 3"]
    outer: Float32[np.ndarray, "n"]  # 0 inside the mouth and behind the eyeballs
    cheeks: Float32[np.ndarray, "n"]
    nose: Float32[np.ndarray, "n"]
    chin: Float32[np.ndarray, "n"]
    forehead: Float32[np.ndarray, "n"]
    under_eyes: Float32[np.ndarray, "n"]
    eye_hollow: Float32[np.ndarray, "n"]
    lids: Float32[np.ndarray, "n"]
    lid_edge: Float32[np.ndarray, "n"]  # where lids touch the eye
    upper_lid: Float32[np.ndarray, "n"]  # distance from the upper lid's edge, decimetres
    ears: Float32[np.ndarray, "n"]
    lips: Float32[np.ndarray, "n"]
    lip_seam: Float32[np.ndarray, "n"]
    mouth: Float32[np.ndarray, "n"]
    nostrils: Float32[np.ndarray, "n"]
    neck: Float32[np.ndarray, "n"]
    beard: Float32[np.ndarray, "n"]
    moustache: Float32[np.ndarray, "n"]
    goatee: Float32[np.ndarray, "n"]


def _sockets(texel: np.ndarray) -> np.ndarray:
    """Texels of the chart's islands behind the eyeballs and inside the mouth (its lower right)."""
    row, column = np.divmod(texel, SIZE)
    box = BOXES["skin"]
    return (row > box.top + 0.757 * box.height) & (column > box.left + 0.5 * box.width)


def _openings(mesh: Mesh) -> tuple[Float32[np.ndarray, "a 3"], Float32[np.ndarray, "b 3"]]:
    """Vertices along the openings of the eyes and of the mouth, where the chart's outer island meets the inner ones."""
    corners = np.unique(mesh.triangles[mesh.part == PARTS.index("skin")])
    right, low = mesh.uv[corners, 0] > 0.5, mesh.uv[corners, 1] < 0.243
    edges = []
    for inner in (right & low & (mesh.uv[corners, 0] > 0.76), right & low & (mesh.uv[corners, 0] < 0.76)):
        both = np.intersect1d(mesh.vertex_of[corners[inner]], mesh.vertex_of[corners[~low]])
        edges.append(mesh.vertices[both])
    return edges[0], edges[1]


def _distance(point: np.ndarray, edge: np.ndarray) -> Float32[np.ndarray, "n"]:
    return cKDTree(edge).query(point, distance_upper_bound=0.3)[0].clip(max=9.0).astype(np.float32)


@functools.cache
def mouth_inside() -> tuple[Int32[np.ndarray, "m"], Float[np.ndarray, "m"]]:
    """Vertices of the skin inside the mouth, and their depth behind the edges of the lips: 0 at the edges to 1."""
    mesh = load_mesh()
    corners = np.unique(mesh.triangles[mesh.part == PARTS.index("skin")])
    island = (mesh.uv[corners, 1] < 0.243) & (mesh.uv[corners, 0] > 0.5) & (mesh.uv[corners, 0] < 0.76)
    inside = np.setdiff1d(mesh.vertex_of[corners[island]], mesh.vertex_of[corners[~island]])
    return inside, smoothstep(0.02, 0.15, _distance(mesh.vertices[inside], _openings(mesh)[1]))


@functools.cache
def socket_faces() -> Bool[np.ndarray, "f"]:
    """Faces of the skin behind the eyeballs."""
    mesh = load_mesh()
    place = mesh.uv[mesh.triangles].mean(1)
    far = distance_from_lids(mesh.vertices)[mesh.faces].min(1) > 0.05
    return far & (mesh.part == PARTS.index("skin")) & (place[:, 1] < 0.243) & (place[:, 0] > 0.76)


def distance_from_lids(point: Float[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n"]:
    """Distance from the edges of the eyes' openings."""
    return _distance(point, _openings(load_mesh())[0])


@functools.cache
def load_regions() -> Regions:
    """Regions of the project's mesh. They are computed once per process (about .3 s)."""
    atlas = load_atlas()
    mine = np.flatnonzero(atlas.part == PARTS.index("skin"))
    p, masks = atlas.point[mine], {name: mask[mine] for name, mask in atlas.masks.items()}
    inside = _sockets(atlas.texel[mine])
    y, z = p[:, 1], p[:, 2]
    lids, mouth = (_distance(p, edge) for edge in _openings(load_mesh()))
    fields = {
        "outer": 1.0 - inside,
        "cheeks": _spot(p, 0.5, 6.93, 0.22, 0.2),
        "nose": _spot(p, 0.0, 6.98, 0.17, 0.14) * smoothstep(1.25, 1.45, z),
        "chin": _spot(p, 0.0, 6.27, 0.2, 0.13),
        "forehead": _spot(p, 0.0, 7.75, 0.5, 0.22),
        "under_eyes": _spot(p, 0.27, 7.16, 0.15, 0.055),
        "eye_hollow": _spot(p, 0.2, 7.3, 0.16, 0.14),
        "lids": np.maximum(masks["lids"], _spot(p, 0.31, 7.37, 0.16, 0.05) * 0.8),
        "lid_edge": np.exp(-((lids / 0.016) ** 2)) * (1 - inside),
        "upper_lid": np.where((y > EYE[1]) & (inside == 0), lids, 9.0),
        "ears": masks["ears"],
        "lips": masks["lips"] * (1 - inside),
        "lip_seam": np.exp(-((mouth / 0.022) ** 2)) * (1 - inside),
        "mouth": np.maximum(masks["mouth_inside"], inside & (y < 7.0)),
        "nostrils": _spot(p, 0.075, 6.86, 0.05, 0.035) * smoothstep(1.5, 1.35, z),
        "neck": smoothstep(6.2, 6.0, y),
        "beard": beard(p) * (1 - masks["lips"]) * (1 - inside),
        "moustache": moustache(p) * (1 - masks["lips"]) * (1 - inside),
        "goatee": goatee(p) * (1 - masks["lips"]) * (1 - inside),
    }
    return Regions(texel=atlas.texel[mine], point=p, **{k: np.asarray(v, np.float32) for k, v in fields.items()})


_GRID = (0.01, 0.01)
"""Steps of azimuth and height in the table of `_locator`."""

_LOW, _HIGH = (-1.9, 5.9), (1.9, 8.4)


@functools.cache
def _locator() -> Float32[np.ndarray, "r c 2"]:
    """Table of the column and row in the skin's chart, by height and azimuth on the face."""
    fields = load_regions()
    use = np.flatnonzero((fields.outer > 0.5) & (fields.point[:, 1] > _LOW[1]) & (fields.texel < 0.47 * SIZE * SIZE))
    use = use[np.argsort(np.hypot(fields.point[use, 0], fields.point[use, 2] - AXIS_Z))]  # outermost last, so that it wins
    row, column = np.divmod(fields.texel[use], SIZE)
    cell = np.round((np.stack([azimuth(fields.point[use]), fields.point[use, 1]], 1) - _LOW) / _GRID).astype(int)
    shape = np.round((np.array(_HIGH) - _LOW) / _GRID).astype(int)[::-1]
    keep = (cell >= 0).all(1) & (cell < shape[::-1]).all(1)
    table = np.zeros((*shape, 3), np.float32)
    table[cell[keep, 1], cell[keep, 0]] = np.stack([column, row, np.ones_like(row)], 1)[keep]
    near, far = cv2.GaussianBlur(table, (0, 0), 1.0), cv2.GaussianBlur(table, (0, 0), 12.0)
    table = near + 1e-4 * far
    return table[..., :2] / np.maximum(table[..., 2:], 1e-9)


def locate(place: Float[np.ndarray, "*s 2"]) -> Float32[np.ndarray, "*s 2"]:
    """Texels (column, row) of places on the face, given as (azimuth, height)."""
    if not place.size:
        return np.zeros(place.shape, np.float32)
    table = _locator()
    at = ((place.reshape(-1, 2) - _LOW) / _GRID).astype(np.float32)
    out = cv2.remap(table, at[:, :1], at[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return out.reshape(place.shape)


def front(place: Float[np.ndarray, "*s 2"], depth: float) -> Float[np.ndarray, "*s 2"]:
    """Converts places (x, y) of the face at depth z = `depth` to (azimuth, height)."""
    return np.stack([np.arctan2(place[..., 0], depth - AXIS_Z), place[..., 1]], axis=-1)
