"""Glasses and earrings: thin rigid objects, fitted to a person's eyes, nose and ears."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from data.heads import brush
from data.heads.atlas import PLAIN, Box
from data.heads.mending import vertices_of
from data.heads.mesh import load_mesh
from data.heads.pieces import Picture, Piece, sheet
from data.heads.traits import Colour, Traits

FRAME, METAL = Box(PLAIN.left, PLAIN.top, 180, 80), Box(PLAIN.left + 184, PLAIN.top, 60, 80)

TEMPLE, EAR, LOBE, BRIDGE = (0.73, 7.37, 0.58), (0.80, 7.36, 0.46), (0.73, 6.83, 0.575), (0.0, 7.3, 1.51)
"""Places on the base mesh, on the person's left: temple (which no unit moves), top of the ear, ear lobe; root of the nose."""

BOW = 0.3
"""Curvature of the front of glasses: at x it is BOW x² farther back."""


@dataclass(frozen=True)
class Rim:
    """The rim around one eye; decimetres."""

    width: float  # half of it
    height: float  # half of it
    power: float  # of the superellipse: 2 is round, more is squarer
    thick: float
    lower: float = 1.0  # share of the thickness below the eye; nearly 0 for half-rims


RIMS = {
    "round": Rim(0.225, 0.215, 2.0, 0.014),
    "square": Rim(0.25, 0.175, 4.0, 0.028),
    "wide": Rim(0.255, 0.195, 3.0, 0.02),
    "half": Rim(0.25, 0.165, 3.6, 0.022, 0.15),
    "thin": Rim(0.25, 0.18, 2.7, 0.009),
}
FRAMES: tuple[Colour, ...] = (
    (0.04, 0.04, 0.045),
    (0.06, 0.055, 0.06),
    (0.22, 0.13, 0.07),
    (0.62, 0.5, 0.28),
    (0.6, 0.6, 0.62),
    (0.1, 0.13, 0.25),
    (0.35, 0.08, 0.09),
    (0.7, 0.66, 0.6),
)
METALS: tuple[Colour, ...] = ((0.78, 0.62, 0.3), (0.75, 0.75, 0.77), (0.9, 0.88, 0.84))


def nearest(place: tuple[float, float, float], side: int = 1) -> int:
    """The vertex of the base mesh's skin nearest to a place, on the person's left (1) or right (-1) side."""
    mesh = load_mesh()
    skin = vertices_of("skin")
    return int(skin[np.argmin(np.linalg.norm(mesh.vertices[skin] - np.array(place) * (side, 1, 1), axis=1))])


def _rigid(points: Float[np.ndarray, "r c 3"], box: Box, vertex: int, *, ring: bool = False) -> Piece:
    return sheet(points, np.full(points.shape[:2], vertex), box, "frame", ring=ring)


def _front(vertices: Float[np.ndarray, "v 3"], eye: Float[np.ndarray, "3"], rim: Rim) -> float:
    """Depth of the front of the glasses at x = 0: just in front of brows, lids, cheeks and the root of the nose."""
    skin = vertices[vertices_of("skin")]
    x, y = np.abs(skin[:, 0]), skin[:, 1] - eye[1]
    before = (x > 0.14) & (x < abs(eye[0]) + rim.width) & (y > -rim.height) & (y < rim.height)
    return float((skin[before, 2] + BOW * x[before] ** 2).max()) + 0.03


def _rim(centre: np.ndarray, depth: float, rim: Rim, vertex: int) -> Piece:
    """The ring around an eye. Rows: back and front of the outer edge, front and back of the inner edge."""
    angle = np.linspace(0.0, 2 * np.pi, 29)
    cos, sin = np.cos(angle), np.sin(angle)
    form = lambda wide, high: (
        np.sign(cos) * np.abs(cos) ** (2 / rim.power) * wide,
        np.sign(sin) * np.abs(sin) ** (2 / rim.power) * high,
    )
    thick = rim.thick * np.where(sin > -0.1, 1.0, max(rim.lower, 0.2))
    rows = []
    for grow, back in ((1.0, 0.05), (1.0, 0.0), (0.0, 0.0), (0.0, 0.05)):
        x, y = form(rim.width + grow * thick, rim.height + grow * thick)
        x, y = centre[0] + x, centre[1] + y
        rows.append(np.stack([x, y, depth - BOW * x**2 - back], axis=-1))
    return _rigid(np.stack(rows), FRAME, vertex, ring=True)


def _bridge(vertices: np.ndarray, eye: np.ndarray, depth: float, rim: Rim, vertex: int) -> Piece:
    inner = abs(eye[0]) - rim.width
    x = np.linspace(-inner, inner, 7)
    bow = 1.0 - (x / inner) ** 2
    y, nose = eye[1] + 0.35 * rim.height + 0.02 * bow, vertices[nearest(BRIDGE), 2] + 0.03
    z = np.maximum(depth - BOW * x**2, nose * bow)
    half = 0.6 * rim.thick + 0.004
    rows = [np.stack([x, y + up, z - back], axis=-1) for up, back in ((half, 0.04), (half, 0.0), (-half, 0.0), (-half, 0.04))]
    return _rigid(np.stack(rows), FRAME, vertex)


def _arm(vertices: np.ndarray, eye: np.ndarray, depth: float, rim: Rim, vertex: int, side: int) -> Piece:
    """The arm of the glasses, from the outer edge of the rim over the ear."""
    x = abs(eye[0]) + rim.width + 0.6 * rim.thick
    start = np.array([x, eye[1] + 0.45 * rim.height, depth - BOW * x**2])
    ear, temple = (vertices[nearest(place, side)] * (side, 1, 1) for place in (EAR, TEMPLE))
    ear = np.maximum(ear, (temple[0] + 0.03, ear[1] + 0.03, 0.0))
    share = np.linspace(0.0, 1.0, 7)[:, None]
    line = start + (ear - start) * share + np.array([0.05, 0.0, 0.0]) * np.sin(np.pi * share)
    line = np.vstack([line, ear - np.array([0.02, 0.12, 0.12])])
    half = np.array([0.0, 0.5 * rim.thick + 0.012, 0.0])
    rows = np.stack([line + half, line - half]) * (side, 1, 1)
    return _rigid(rows if side > 0 else rows[:, ::-1], FRAME, vertex)


def _eyes(vertices: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "2 3"]:
    """Centres of the left and the right eyeball."""
    return np.stack([vertices[vertices_of(name)].mean(0) for name in ("eye_left", "eye_right")])


def _glasses(traits: Traits, vertices: Float[np.ndarray, "v 3"]) -> list[Piece]:
    rim, eyes, still = RIMS[traits.glasses], _eyes(vertices), nearest(TEMPLE)
    width = float(np.abs(eyes[:, 0]).mean())
    scale = width / 0.31
    rim = Rim(rim.width * scale, rim.height * scale, rim.power, rim.thick, rim.lower)
    middle = np.array([1.07 * width, eyes[:, 1].mean() - 0.03, 0.0])
    depth, pieces = _front(vertices, middle, rim), []
    for side in (1, -1):
        pieces.append(_rim(middle * (side, 1, 1), depth, rim, still))
        pieces.append(_arm(vertices, middle, depth, rim, still, side))
    return [*pieces, _bridge(vertices, middle, depth, rim, still)]


def _earring(rng: np.random.Generator, vertices: np.ndarray, size: float, hoop: bool, side: int) -> Piece:
    """A hoop, or a bead."""
    vertex = nearest(LOBE, side)
    lobe = vertices[vertex] + np.array([0.02 * side, 0.015, 0.0])
    turn, up = np.linspace(0, 2 * np.pi, 13 if hoop else 9), np.linspace(0, 2 * np.pi, 4) if hoop else np.linspace(0, np.pi, 5)
    turn, up = turn[None], up[:, None]
    if hoop:
        wide = size + 0.012 * np.cos(up)
        ball = np.stack([0.012 * np.sin(up) + 0 * turn, wide * np.cos(turn) - size, wide * np.sin(turn)], axis=-1)
    else:
        ball = (
            0.3 * size * np.stack([np.sin(up) * np.sin(turn), np.cos(up) + 0 * turn - 1.0, np.sin(up) * np.cos(turn)], axis=-1)
        )
    return _rigid(lobe + ball, METAL, vertex)


def make_accessories(
    rng: np.random.Generator, traits: Traits, vertices: Float[np.ndarray, "v 3"]
) -> tuple[list[Piece], list[Picture]]:
    """Surfaces and atlas pictures of glasses and earrings."""
    pieces = _glasses(traits, vertices) if traits.glasses else []
    size, hoop = rng.uniform(0.05, 0.16), bool(rng.uniform() < 0.5)
    if traits.earrings and traits.cut != "headscarf":
        pieces += [_earring(rng, vertices, size, hoop, side) for side in (1, -1)]
    pictures = []
    for box, colours in ((FRAME, FRAMES), (METAL, METALS)):
        shape, colour = (box.height, box.width), np.array(colours[rng.integers(len(colours))], np.float32)
        colour = colour * (1.0 + 0.12 * brush.noise(rng, shape, (6, 12)))[..., None]
        pictures.append(Picture(box, np.clip(colour, 0, 1), np.ones(shape, np.float32), np.ones(shape, np.float32)))
    return pieces, pictures
