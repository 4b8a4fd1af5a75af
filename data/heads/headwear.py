"""Headscarves and woollen caps: cloth over the scalp, made like hair, and cloth around the neck."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from data.heads import brush
from data.heads.atlas import HAIR, HAIR_OUTER
from data.heads.clothes import collar, frame, paint_cloth
from data.heads.cuts import Cut
from data.heads.mane import SKULL_ROWS, grow, hanging, layers
from data.heads.meridians import COLUMNS
from data.heads.pieces import Picture, Piece, sheet
from data.heads.regions import smoothstep
from data.heads.traits import Colour, Traits, mix

SCARF = Cut(top=0.07, side=0.19, back=0.13, bumps=0.5, length=1.0, front_angle=0.86, inward=0.12, spread=1.0)
SCARF_EDGE = np.array([(0.0, 7.87), (0.4, 7.85), (0.65, 7.72), (0.8, 7.5), (0.88, 7.4), (1.6, 7.3), (2.2, 6.9), (3.2, 6.7)])
CAP = Cut(top=0.14, side=0.1, back=0.14, bumps=0.15, spread=1.0)
CAP_EDGE = np.array([(0.0, 7.76), (0.5, 7.72), (0.9, 7.55), (1.3, 7.38), (1.8, 7.2), (2.4, 7.05), (3.2, 7.0)])
"""Shapes of the cloth, and its edges (azimuth, height)."""


def _colour(rng: np.random.Generator, traits: Traits) -> Colour:
    kind = rng.uniform()
    if kind < 0.5:
        return traits.cloth if kind < 0.25 else traits.inner
    return mix(tuple(rng.uniform(0.1, 0.6, 3).tolist()), (0.3, 0.28, 0.27), 0.5)


def _cap(rng: np.random.Generator, traits: Traits, vertices: np.ndarray) -> tuple[list[Piece], list[Picture]]:
    """A knitted cap with a turned-up brim."""
    mane = grow(vertices, CAP_EDGE)
    points = layers(rng, mane, CAP)[0]
    brim = smoothstep(0.62, 0.7, mane.down) * smoothstep(1.02, 0.97, mane.down)
    points = points + mane.out * (0.06 * brim)[..., None]
    piece = sheet(points, mane.vertex, HAIR, "cloth", ring=True)
    picture = paint_cloth(rng, _colour(rng, traits), "plain", None, HAIR)
    across, down = np.meshgrid(np.arange(HAIR.width), np.arange(HAIR.height))
    knit = 1.0 + 0.12 * np.sin(across * 0.9) * np.cos(down * (0.0 if rng.uniform() < 0.5 else 0.8))
    fold = 1.0 - 0.45 * np.exp(-(((down / HAIR.height - 0.63) / 0.02) ** 2))
    return [piece], [picture._replace(colour=np.clip(picture.colour * (knit * fold)[..., None], 0, 1).astype(np.float32))]


def _scarf(rng: np.random.Generator, traits: Traits, vertices: np.ndarray) -> tuple[list[Piece], list[Picture]]:
    """A cloth around the head that leaves the face free, with its end around the neck."""
    mane = grow(vertices, SCARF_EDGE)
    points = layers(rng, mane, SCARF)[0]
    rows = len(points)
    vertex = np.concatenate([mane.vertex, np.repeat(mane.vertex[-1:], rows - SKULL_ROWS, 0)])
    keep = np.ones((rows, COLUMNS), bool)
    keep[SKULL_ROWS:] = hanging(mane, SCARF) > 0.02
    on = frame(vertices, "scarf")
    wrap = np.array([(-0.1, 0.0), (-0.12, 0.07), (0.0, 0.16), (0.15, 0.2), (0.3, 0.17), (0.45, 0.22), (0.7, 0.2), (0.95, 0.1)])
    folds = 0.03 * brush.noise(rng, (len(wrap), COLUMNS), (8, 10))
    folds[:, -1] = folds[:, 0]
    profile = np.stack([np.broadcast_to(wrap[:, :1], folds.shape), wrap[:, 1:] + folds], axis=-1)
    colour = _colour(rng, traits)
    hood = sheet(points, vertex, HAIR, "cloth", ring=True, keep=keep)
    pictures = [paint_cloth(rng, colour, "plain", None, box) for box in (HAIR, HAIR_OUTER)]
    return [hood, collar(on, profile, HAIR_OUTER)], pictures


def make_headwear(
    rng: np.random.Generator, traits: Traits, vertices: Float[np.ndarray, "v 3"]
) -> tuple[list[Piece], list[Picture]]:
    """Surfaces and atlas pictures of a headscarf or a cap; none for people without."""
    make = {"headscarf": _scarf, "beanie": _cap}.get(traits.cut)
    return make(rng, traits, vertices) if make else ([], [])
