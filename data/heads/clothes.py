"""Clothes: a cover of the shoulders below a neckline, and collars that stand on it.

Every meridian of the shoulders has two directions at the neckline: down along the skin, and out of the skin. A collar is a
profile of (down, out) steps, the same all round or depending on the azimuth.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float

from data.heads import brush
from data.heads.atlas import CLOTH, TRIM, Box
from data.heads.meridians import COLUMNS, SHOULDERS, STEPS, Skin, load_places, skin_at, turns
from data.heads.mesh import PARTS, load_mesh
from data.heads.pieces import Picture, Piece, sheet
from data.heads.regions import smoothstep
from data.heads.traits import Colour, Traits, mix

ROWS = 10

NECKLINES: dict[str, list[tuple[float, float]]] = {
    "round neck": [(0.0, 5.66), (0.6, 5.74), (1.2, 5.9), (1.57, 6.0), (3.2, 5.98)],
    "v-neck": [(0.0, 5.15), (0.25, 5.35), (0.6, 5.62), (1.2, 5.88), (1.57, 5.98), (3.2, 5.98)],
    "shirt": [(0.0, 5.38), (0.14, 5.5), (0.4, 5.72), (0.8, 5.86), (1.57, 6.02), (3.2, 6.05)],
    "jacket": [(0.0, 4.75), (0.2, 5.05), (0.5, 5.45), (0.9, 5.75), (1.57, 5.97), (3.2, 6.0)],
    "hoodie": [(0.0, 5.6), (0.6, 5.72), (1.2, 5.88), (1.57, 5.95), (3.2, 5.95)],
    "scarf": [(0.0, 6.0), (0.5, 6.08), (1.0, 6.3), (1.57, 6.5), (3.2, 6.45)],
    "turtleneck": [(0.0, 5.68), (0.6, 5.76), (1.2, 5.9), (1.57, 6.0), (3.2, 6.0)],
}
"""Height of the neckline by azimuth around the neck."""

THICKNESS = {"jacket": 0.1, "hoodie": 0.1}
_THIN = 0.055


@dataclass(frozen=True)
class Frame:
    """Points of a neckline, directions down along the skin and out of it, mesh vertices to follow; [COLUMNS, …]."""

    point: Float[np.ndarray, "c 3"]
    down: Float[np.ndarray, "c 3"]
    out: Float[np.ndarray, "c 3"]
    vertex: np.ndarray
    turn: Float[np.ndarray, "c"]


def _edge(garment: str) -> Float[np.ndarray, "c"]:
    """Step along each meridian of the shoulders at which the cover begins."""
    table, base = np.array(NECKLINES[garment]), load_places(SHOULDERS).base
    line = np.interp(np.abs(turns()), *table.T)[:, None]
    above = base[..., 1] > line
    last = STEPS - 1 - np.argmax(above[:, ::-1], axis=1)
    last = 0.5 * (last + last[::-1])
    return np.convolve(np.r_[last[-2], last, last[1]], [0.25, 0.5, 0.25], "valid")


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def frame(vertices: Float[np.ndarray, "v 3"], garment: str) -> Frame:
    """The frame of a garment's neckline on a person."""
    edge = _edge(garment)
    skin = skin_at(SHOULDERS, vertices, edge + np.array([-4.0, 0.0, 4.0, 9.0])[:, None])
    points = _smooth(skin.points)
    down = _unit(points[2] - points[0])
    out = skin.out[1] - (skin.out[1] * down).sum(-1, keepdims=True) * down
    return Frame(points[1], down, _unit(out), skin.vertex[3], turns())


def _smooth(grid: np.ndarray) -> np.ndarray:
    """The grid, smoothed so that collarbones do not show. Columns are cyclic."""
    wrapped = np.concatenate([grid[:, -5:-1], grid, grid[:, 1:5]], axis=1).astype(np.float32)
    return cv2.GaussianBlur(wrapped, (0, 0), 1.2, borderType=cv2.BORDER_REPLICATE)[:, 4:-4]


def cover(
    rng: np.random.Generator, vertices: Float[np.ndarray, "v 3"], garment: str, box: Box, under: str = ""
) -> tuple[Piece, Skin]:
    """The cloth over the shoulders below the neckline. If it is worn `under` another garment, only the visible part."""
    edge, thick = _edge(garment), THICKNESS.get(garment, _THIN)
    steps = edge + (STEPS - 1 - edge) * np.linspace(0.0, 1.0, ROWS)[:, None] ** 1.2
    skin = skin_at(SHOULDERS, vertices, steps)
    folds = brush.noise(rng, (ROWS, COLUMNS), (5, 14)) * 0.012
    folds[:, -1] = folds[:, 0]
    lift = (thick + folds) * smoothstep(-0.6, 0.25, np.linspace(0.0, 1.0, ROWS))[:, None]
    points = 0.5 * (_smooth(skin.points) + skin.points) + skin.out * lift[..., None]
    piece = sheet(points, skin.vertex, box, "cloth", ring=True)
    return (_cut(piece, steps < _edge(under) + 6.0) if under else piece), skin


def collar(on: Frame, profile: Float[np.ndarray, "r #c 2"], box: Box, opening: float = 0.0) -> Piece:
    """A strip along the neckline. `profile` is (down, out) from it in decimetres, `opening` the azimuth of its gap in front."""
    profile = np.broadcast_to(profile, (len(profile), COLUMNS, 2))
    points = on.point + profile[..., :1] * on.down + profile[..., 1:] * on.out
    keep = np.broadcast_to(np.abs(on.turn) > opening, points.shape[:2])
    piece = sheet(points, np.broadcast_to(on.vertex, points.shape[:2]), box, "cloth", ring=True)
    return _cut(piece, keep) if opening else piece


def _cut(piece: Piece, keep: Bool[np.ndarray, "r c"]) -> Piece:
    whole = keep.ravel()[piece.triangles].all(1)
    return Piece(**{**vars(piece), "triangles": piece.triangles[whole]})


def _profile(*steps: tuple[float, float]) -> Float[np.ndarray, "r 1 2"]:
    return np.array(steps)[:, None]


def _by_turn(turn: np.ndarray, *steps: tuple[float, np.ndarray | float, np.ndarray | float]) -> Float[np.ndarray, "r c 2"]:
    """Profile whose (down, out) depend on the azimuth."""
    return np.stack([np.stack(np.broadcast_arrays(down, out, turn)[:2], axis=-1) for down, out in steps])


def _shirt_collar(on: Frame, open_: float) -> Float[np.ndarray, "r c 2"]:
    """A collar that stands around the neck and is folded down, long at its points."""
    tip = 0.05 + 0.2 * np.exp(-(((np.abs(on.turn) - open_) / 0.3) ** 2))
    return _by_turn(on.turn, (0.06, 0.02), (-0.1, 0.03), (-0.17, 0.06), (-0.15, 0.1), (-0.02, 0.15), (tip, 0.16))


def _lapels(on: Frame) -> Float[np.ndarray, "r c 2"]:
    width = np.interp(np.abs(on.turn), [0.0, 0.2, 0.55, 0.9, 1.3, 3.2], [0.05, 0.16, 0.34, 0.26, 0.16, 0.14])
    return _by_turn(on.turn, (0.0, 0.03), (-0.05, 0.09), (-0.02, 0.13), (0.5 * width, 0.135), (width, 0.125))


def _hood(on: Frame) -> Float[np.ndarray, "r c 2"]:
    size = np.interp(np.abs(on.turn), [0.0, 0.3, 0.9, 1.6, 3.2], [0.25, 0.45, 0.8, 1.0, 1.3])
    steps = ((0.06, 0.02), (-0.14, 0.06), (-0.2, 0.14), (-0.08, 0.26), (0.1, 0.28), (0.2, 0.1))
    return _by_turn(on.turn, *((down * size, out * size) for down, out in steps))


COLLARS = {
    "round neck": lambda on: _profile((-0.01, -0.02), (-0.025, 0.03), (0.0, 0.06), (0.07, 0.065), (0.09, 0.05)),
    "v-neck": lambda on: _profile((-0.01, -0.02), (-0.02, 0.03), (0.0, 0.055), (0.05, 0.06), (0.07, 0.05)),
    "turtleneck": lambda on: _profile(
        (0.1, 0.05), (-0.1, 0.04), (-0.24, 0.045), (-0.29, 0.07), (-0.24, 0.1), (-0.02, 0.11), (0.03, 0.07)
    ),
    "hoodie": _hood,
    "shirt": lambda on: _shirt_collar(on, 0.22),
    "jacket": _lapels,
}


def hidden_faces(traits: Traits) -> Bool[np.ndarray, "f"]:
    """Faces of the mesh's skin well below the neckline."""
    mesh = load_mesh()
    table = np.array(NECKLINES["shirt" if traits.garment == "jacket" else traits.garment])
    x, y, z = mesh.vertices.T
    below = np.interp(np.abs(np.arctan2(x, z - SHOULDERS.centre[2])), *table.T) - y > 0.2
    return below[mesh.faces].all(1) & (mesh.part == PARTS.index("skin"))


def paint_cloth(rng: np.random.Generator, colour: Colour, pattern: str, skin: Skin | None, box: Box) -> Picture:
    """Cloth with pattern, weave and soft folds; darker under the collar. `skin` is below the cloth, None without a pattern."""
    shape = (box.height, box.width)
    shade = 1.0 + 0.05 * brush.noise(rng, shape, (6, 16)) + 0.03 * brush.noise(rng, shape, shape)
    down = np.linspace(0.0, 1.0, box.height)[:, None]
    shade *= (0.8 + 0.2 * smoothstep(0.0, 0.2, down)) * (1.0 if skin is not None else 1.0 - 0.3 * smoothstep(0.95, 0.98, down))
    paint = np.broadcast_to(np.asarray(colour, np.float32), (*shape, 3)).copy()
    if skin is not None and pattern != "plain":
        x, y, _ = np.moveaxis(cv2.resize(skin.base, shape[::-1], interpolation=cv2.INTER_LINEAR), -1, 0)
        paint += (np.asarray(_second(rng, colour), np.float32) - paint) * _pattern(rng, pattern, x, y)[..., None]
    return Picture(box, np.clip(paint * shade[..., None], 0.0, 1.0), np.ones(shape, np.float32), np.ones(shape, np.float32))


def _second(rng: np.random.Generator, colour: Colour) -> Colour:
    """A second colour for the cloth: white, dark, or another shade."""
    return mix(
        colour, [(0.88, 0.87, 0.85), (0.06, 0.06, 0.08), (0.45, 0.2, 0.18)][rng.integers(3)], float(rng.uniform(0.5, 0.9))
    )


def _pattern(rng: np.random.Generator, pattern: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Share of the second colour at every place."""
    period, band = rng.uniform(0.1, 0.32), rng.uniform(-0.3, 0.5)
    wave = lambda at: smoothstep(band, band + 0.25, np.sin(2 * np.pi * at / period))
    if pattern == "stripes":
        return wave(y + 0.3 * np.abs(x)) if rng.uniform() < 0.65 else 0.6 * wave(x)
    if pattern == "checks":
        return 0.5 * (wave(x) + wave(y + 0.2 * np.abs(x)))
    return np.clip(0.25 + 0.3 * brush.noise(rng, x.shape, x.shape), 0.0, 1.0)


def make_clothes(
    rng: np.random.Generator, traits: Traits, vertices: Float[np.ndarray, "v 3"]
) -> tuple[list[Piece], list[Picture]]:
    """Surfaces and atlas pictures of a person's clothes."""
    garment, pieces, pictures = traits.garment, [], []
    upper, lower = Box(TRIM.left, TRIM.top, TRIM.width, 56), Box(TRIM.left, TRIM.top + 58, TRIM.width, 60)
    if garment == "jacket":
        shirt = frame(vertices, "shirt")
        pieces.append(cover(rng, vertices, "shirt", lower, "jacket")[0])
        pieces.append(collar(shirt, _shirt_collar(shirt, 0.14), lower, 0.14))
        pictures.append(paint_cloth(rng, traits.inner, "plain", None, lower))
    piece, skin = cover(rng, vertices, garment, CLOTH)
    on = frame(vertices, garment)
    pieces += [piece, collar(on, COLLARS[garment](on), upper, 0.2 if garment == "shirt" else 0.0)]
    trim = (
        mix(traits.cloth, _second(rng, traits.cloth), float(rng.choice([0.0, 0.0, 0.6])))
        if garment.endswith("neck")
        else traits.cloth
    )
    pictures.append(paint_cloth(rng, traits.cloth, traits.cloth_pattern, skin, CLOTH))
    pictures.append(paint_cloth(rng, trim, "plain", None, upper))
    return pieces, pictures
