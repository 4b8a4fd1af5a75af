"""Closes lids and lips: brings the two edges of an opening together, for any person and any expression.

Expression units move every person's vertices by the same amount, but people's lids and lips differ. So a unit that closes one
mouth leaves another slightly open. u are the vertices of the upper edge, l the points of the lower edge just below them,
o = (u − l)·y is their opening. A correction d of the edges spreads to the surrounding rings of vertices with a weight f that
falls from 1 to 0:

    (1) u ← u + a·e,  l ← l − (1 − a)·e,  e the required change of the opening, a the upper edge's share of it
    (2) v ← v + f d   for the vertices of a ring, d the correction of the corresponding vertex of the edge

Lids must also stay outside the eyeball, of centre c and radius r:

    (3) v ← c + (v − c) max(1, ρ r / |v − c|),  ρ the smallest distance of the mesh's own lid, open or closed, in radii.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from data.heads.mesh import PARTS, load_mesh
from xactor_jax.labels import UNITS

EDGE = 2
"""Index of the ring in which lids and lips touch."""

REACH = {"eye_left": 0.16, "eye_right": 0.16, "mouth": 0.3}
"""Distance from the edge to which a correction spreads, in decimetres."""

SHARE = {"eye_left": 1.0, "eye_right": 1.0, "mouth": 0.5}
"""The upper edge's share of a correction: a in equation (1)."""

CLEARANCE = 1.01
"""Smallest distance of a lid from the centre of its eye, in radii."""

SEAL = -0.002
"""Opening of lips that touch, in decimetres. They overlap slightly, so that no gap is visible between them."""

BEHIND = 0.05
"""Smallest depth of teeth behind the skin in front of them, in decimetres."""

OUTSIDE = 0.245
"""In the skin's texture, v above this is the outside of head and neck (launch/assets/chart.py)."""

CHIN = (0.42, 6.1, 6.5, 1.2)
"""The skin of the chin on the mesh: |x| less than, y between, z more than these values. Lower teeth come down behind it."""

FRONT = 0.25
"""Only vertices of teeth up to this depth behind the mesh's skin can come through it, in decimetres."""


@dataclass(frozen=True)
class Slit:
    """An opening of eye or mouth: n places along its edges, in the order of `Mesh.rings`."""

    rings: Int[np.ndarray, "k n"]
    upper: Int[np.ndarray, "m"]
    """Places of the upper edge, without the corners."""
    lower: Float[np.ndarray, "m n"]
    """Weights of the edge's places that give the point of the lower edge just below each place of the upper edge."""
    above: Float[np.ndarray, "n m"]
    """The reverse: for each place of the lower edge, weights of the upper places above it; other rows are zero."""
    fade: Float[np.ndarray, "k n"]
    """The weights f of equation (2)."""
    share: float
    lashes: Int[np.ndarray, "q"]
    """Vertices of lashes, none for the mouth."""
    place: Int[np.ndarray, "q"]
    """Place along the edge at which each vertex of the lashes starts."""


def _between(x: np.ndarray, at: np.ndarray) -> Float[np.ndarray, "m p"]:
    """Weights [len(at), len(x)] of linear interpolation between points with coordinates x, in any order."""
    order = np.argsort(x)
    return np.stack([np.interp(at, x[order], row[order]) for row in np.eye(len(x))], axis=1)


def _fade(points: Float[np.ndarray, "k n 3"], reach: float) -> Float[np.ndarray, "k n"]:
    steps = np.linalg.norm(np.diff(points, axis=0), axis=-1)
    along = np.concatenate([np.zeros((1, points.shape[1])), np.cumsum(steps, axis=0)])
    t = np.clip(1.0 - np.maximum(along - along[EDGE + 1], 0.0) / reach, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _lashes(edge: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the lashes on one side of the face, and the nearest places along the edge."""
    mesh = load_mesh()
    vertices = np.unique(mesh.faces[mesh.part == PARTS.index("lashes")])
    vertices = vertices[mesh.vertices[vertices, 0] * side > 0.0]
    away = np.linalg.norm(mesh.vertices[vertices][:, None] - mesh.vertices[edge], axis=-1)
    return vertices, np.argmin(away, axis=1)


@functools.cache
def slit(name: str) -> Slit:
    """The opening `eye_left`, `eye_right` or `mouth` of the project's mesh."""
    mesh = load_mesh()
    rings = mesh.rings[name]
    points = mesh.vertices[rings]
    x = points[EDGE, :, 0]
    far = int(np.argmax(np.abs(x - x[0])))
    upper, rest = np.arange(1, far), np.arange(far, rings.shape[1] + 1) % rings.shape[1]
    lower = np.zeros((len(upper), rings.shape[1]))
    lower[:, rest] = _between(x[rest], x[upper])
    above = np.zeros((rings.shape[1], len(upper)))
    above[rest[1:-1]] = _between(x[upper], x[rest[1:-1]])
    side = 0.0 if name == "mouth" else float(x[0])
    lashes, place = _lashes(rings[EDGE], side)
    return Slit(rings, upper, lower, above, _fade(points, REACH[name]), SHARE[name], lashes, place)


def edge(vertices: Float[np.ndarray, "v 3"], gap: Slit) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, "m 3"]]:
    """Vertices of the upper edge, and the points of the lower edge just below them."""
    points = vertices[gap.rings[EDGE]]
    return points[gap.upper], gap.lower @ points


def opening(vertices: Float[np.ndarray, "v 3"], gap: Slit) -> Float[np.ndarray, "m"]:
    """Size of the opening along its upper edge, in decimetres; negative where the edges overlap."""
    upper, lower = edge(vertices, gap)
    return (upper - lower)[:, 1]


def shift(vertices: Float[np.ndarray, "v 3"], gap: Slit, places: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "v 3"]:
    """Moves the vertices by equation (2), with d given for all places of the edge. Lashes move with their lid."""
    out = vertices.copy()
    out[gap.rings] += gap.fade[..., None] * places
    out[gap.lashes] += places[gap.place]
    return out


def upwards(change: Float[np.ndarray, "m"]) -> Float[np.ndarray, "m 3"]:
    """Vertical changes of an opening as vectors."""
    return np.stack([np.zeros_like(change), change, np.zeros_like(change)], axis=1)


def part_edges(vertices: Float[np.ndarray, "v 3"], gap: Slit, change: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, "v 3"]:
    """Moves the vertices by equations (1) and (2), so that u − l changes by `change`."""
    places = -(1.0 - gap.share) * (gap.above @ change)
    places[gap.upper] = gap.share * change
    return shift(vertices, gap, places)


@functools.cache
def least_distance(name: str) -> Float[np.ndarray, "k n"]:
    """ρ of equation (3) for the rings of an eye: the smallest distance of the mesh's open or closed lid, outside the ball."""
    mesh, gap = load_mesh(), slit(name)
    blink = mesh.units[UNITS.index("eyeBlink" + name.removeprefix("eye_").capitalize())]
    centre, radius = ball(mesh.vertices, name)
    away = [np.linalg.norm((mesh.vertices + weight * blink)[gap.rings] - centre, axis=-1) for weight in (0.0, 1.0)]
    return np.where(np.arange(len(gap.rings))[:, None] > 0, np.maximum(np.minimum(*away) / radius, CLEARANCE), 0.0)


@functools.cache
def _ball_vertices(name: str) -> Int[np.ndarray, "b"]:
    mesh = load_mesh()
    return np.unique(mesh.faces[mesh.part == PARTS.index(name)])


def ball(vertices: Float[np.ndarray, "v 3"], name: str) -> tuple[Float[np.ndarray, "3"], float]:
    """Centre and radius of an eyeball, `eye_left` or `eye_right`, in decimetres."""
    points = vertices[_ball_vertices(name)]
    centre = 0.5 * (points.min(axis=0) + points.max(axis=0))
    return centre, float(np.mean(np.linalg.norm(points - centre, axis=1)))


def keep_out(vertices: Float[np.ndarray, "v 3"], name: str) -> Float[np.ndarray, "v 3"]:
    """Moves the lids out of the eyeball `name` by equation (3)."""
    gap, (centre, radius) = slit(name), ball(vertices, name)
    out = vertices.copy()
    away = out[gap.rings] - centre
    least = least_distance(name) * radius
    out[gap.rings] = centre + away * np.maximum(1.0, least / np.linalg.norm(away, axis=-1))[..., None]
    return out


def _in_front(vertices: np.ndarray, teeth: np.ndarray, skin: np.ndarray) -> Float[np.ndarray, "t"]:
    """Depth of teeth behind the vertex of the skin that is nearest in the front view."""
    x, y = (vertices[teeth][:, None, axis] - vertices[skin][:, axis] for axis in (0, 1))
    return vertices[skin[np.argmin(x * x + y * y, axis=1)], 2] - vertices[teeth, 2]


def _chin() -> Int[np.ndarray, "c"]:
    mesh = load_mesh()
    skin = np.unique(mesh.faces[(mesh.part == PARTS.index("skin")) & (mesh.uv[mesh.triangles, 1].min(axis=1) > OUTSIDE)])
    x, y, z = mesh.vertices[skin].T
    aside, low, high, front = CHIN
    return skin[(np.abs(x) < aside) & (low < y) & (y < high) & (z > front)]


@functools.cache
def _cover(part: str) -> tuple[Int[np.ndarray, "t"], Int[np.ndarray, "f"], Int[np.ndarray, "s"]]:
    """For `teeth_upper` or `teeth_lower`: vertices of the part, those near the skin, and the skin around the mouth."""
    mesh, gap = load_mesh(), slit("mouth")
    upper = np.isin(np.arange(gap.rings.shape[1]), gap.upper)
    skin = gap.rings[EDGE + 1 :, upper if part == "teeth_upper" else ~upper].ravel()
    if part == "teeth_lower":
        skin = np.union1d(skin, _chin())
    teeth = np.unique(mesh.faces[mesh.part == PARTS.index(part)])
    return teeth, teeth[_in_front(mesh.vertices, teeth, skin) < FRONT], skin


def behind_lips(vertices: Float[np.ndarray, "v 3"], part: str) -> Float[np.ndarray, "v 3"]:
    """Moves a row of teeth back as far as it would come through the skin."""
    teeth, front, skin = _cover(part)
    out = vertices.copy()
    out[teeth, 2] -= max(0.0, float(np.max(BEHIND - _in_front(vertices, front, skin))))
    return out
