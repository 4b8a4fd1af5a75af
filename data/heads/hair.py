"""A person's hair: two layers over the scalp with pictures of strands; the lower one is denser.

Two layers give the impression of depth, show skin through the hairline, and avoid a smooth outline.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from data.heads.atlas import HAIR, HAIR_OUTER
from data.heads.cuts import WITHOUT_MANE, Cut, cut_of, hairline
from data.heads.mane import SKULL_ROWS, Mane, grow, hanging, layers
from data.heads.meridians import COLUMNS
from data.heads.pieces import Picture, Piece, sheet
from data.heads.ribbons import bun, fringe, loose, paint_locks, tail, tufts
from data.heads.strands import paint_mane
from data.heads.traits import Traits


def make_hair(
    rng: np.random.Generator, traits: Traits, vertices: Float[np.ndarray, "v 3"]
) -> tuple[list[Piece], list[Picture]]:
    """Surfaces and atlas pictures of a person's hair; none for bald people."""
    if traits.cut in WITHOUT_MANE:
        return [], []
    cut, mane = cut_of(traits), grow(vertices, hairline(traits))
    pieces, pictures = [], []
    grids = layers(rng, mane, cut)
    for points, box, cover in zip(grids, (HAIR, HAIR_OUTER), (cut.cover, cut.outer), strict=True):
        rows = len(points)
        vertex = np.concatenate([mane.vertex, np.repeat(mane.vertex[-1:], rows - SKULL_ROWS, 0)])
        keep = np.ones((rows, COLUMNS), bool)
        keep[SKULL_ROWS:] = hanging(mane, cut) > 0.02
        material = "hair_strips" if cut.length or cut.comb == "round" else "hair"
        pieces.append(sheet(points, vertex, box, material, ring=True, keep=keep))
        pictures.append(Picture(box, *paint_mane(rng, mane, cut, traits, box, rows, cover)))
    return [*pieces, *_locks(rng, traits, mane, grids[0], cut)], [*pictures, paint_locks(rng, traits)]


def _locks(rng: np.random.Generator, traits: Traits, mane: Mane, roof: np.ndarray, cut: Cut) -> list[Piece]:
    """Hair that sticks out of the layers or hangs freely."""
    out = []
    if cut.tufts:
        out.append(tufts(rng, mane, roof, cut))
    if traits.fringe and cut.fringed:
        out.append(fringe(rng, mane, roof, traits))
    if traits.cut in ("bun", "ponytail"):
        out.append((bun if traits.cut == "bun" else tail)(rng, mane))
    if traits.cut in ("bun", "ponytail", "long", "wavy", "bob") and rng.uniform() < 0.6:
        out.append(loose(rng, mane, roof, 0.6 + 0.5 * min(cut.length, 1.0), 0.02 + cut.wave))
    return out
