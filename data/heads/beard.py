"""Beards: a layer of hair above lip, chin and cheeks, over skin in the beard's colour."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float32

from data.heads import brush, regions
from data.heads.atlas import BEARD
from data.heads.meridians import CHIN, COLUMNS, STEPS, skin_at
from data.heads.pieces import Picture, Piece, sheet
from data.heads.regions import MOUTH, smoothstep
from data.heads.strands import colours, shine, strand_noise
from data.heads.traits import GREY, Colour, Traits, mix

ROWS = 22
COLUMNS_USED = slice(9, 40)
"""Meridians around the face."""

LENGTHS = {"moustache": 0.035, "goatee": 0.06, "short": 0.035, "full": 0.1}
"""Distance of the layer from the skin in decimetres; kinds without an entry are only painted on the skin."""


def zone(kind: str, point: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n"]:
    """Where on the base mesh a beard of a kind grows, 0 to 1."""
    lips = smoothstep(1.0, 0.8, np.hypot(point[:, 0] / 0.3, (point[:, 1] - MOUTH + 0.02) / 0.09)) * (point[:, 2] > 1.1)
    if kind == "moustache":
        return regions.moustache(point) * (1 - lips)
    if kind == "goatee":
        return np.maximum(regions.moustache(point), regions.goatee(point)) * (1 - lips)
    return np.maximum(regions.beard(point), regions.moustache(point)) * (1 - lips)


def beard_colour(traits: Traits) -> Colour:
    """Colour between hair and brows, greyer with age."""
    return mix(mix(traits.hair, traits.brow, 0.5), GREY, float(np.clip(1.2 * (traits.age - 0.55), 0.0, 0.7)))


def _picture(rng: np.random.Generator, traits: Traits, base: Float32[np.ndarray, "r c 3"], share: np.ndarray) -> Picture:
    """Short strands from the lip and down cheeks and chin."""
    size = (BEARD.width, BEARD.height)
    large = cv2.resize(base, size, interpolation=cv2.INTER_LINEAR)
    place = cv2.resize(share.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    x, y, z = np.moveaxis(large, -1, 0)
    strand = np.arctan2(x, z - 0.5) * 0.9 + 0.012 * brush.noise(rng, x.shape, (12, 24))
    noise = strand_noise(rng, strand + 20.0, 4.0 * (8.0 - y), 0.65)
    colour = beard_colour(traits)
    cover = {"short": 0.3, "full": 0.55, "moustache": 0.55, "goatee": 0.45}[traits.beard]
    alpha = smoothstep(-0.5, 0.8, noise + 2.8 * (place * (0.5 + cover) - 0.62)) * smoothstep(0.05, 0.5, place + 0.15 * noise)
    return Picture(BEARD, colours(colour, noise, np.full_like(noise, 0.6)), alpha, 0.7 * shine(colour, noise))


def make_beard(
    rng: np.random.Generator, traits: Traits, vertices: Float[np.ndarray, "v 3"]
) -> tuple[list[Piece], list[Picture]]:
    """Surface and atlas picture of a beard; none for bare faces and stubble."""
    if traits.beard not in LENGTHS:
        return [], []
    skin = skin_at(CHIN, vertices, np.broadcast_to(np.linspace(0, STEPS - 1, ROWS)[:, None], (ROWS, COLUMNS)))
    points, base, out, vertex = (grid[:, COLUMNS_USED] for grid in (skin.points, skin.base, skin.out, skin.vertex))
    share = zone(traits.beard, base.reshape(-1, 3)).reshape(base.shape[:2]) * (base[..., 2] > 0.4)
    thick = LENGTHS[traits.beard] * share**1.5 * smoothstep(0.5, 0.95, base[..., 2])
    thick = (
        thick
        * (1.0 + 0.2 * brush.noise(rng, share.shape, (10, 16)))
        * np.interp(base[..., 1], [6.1, 6.3, 6.7], [1.2, 1.0, 0.6])
    )
    piece = sheet(points + out * (0.008 + thick)[..., None], vertex, BEARD, "hair", keep=share > 0.03)
    return [piece], [_picture(rng, traits, base, share)]
