"""A person's hair: two layers over the scalp with pictures of strands, denser below.

The eye finds depth between the layers, skin through the hairline, and no smooth outline.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from data.heads.atlas import HAIR, HAIR_OUTER
from data.heads.cuts import WITHOUT_MANE, cut_of, hairline
from data.heads.mane import SKULL_ROWS, grow, hanging, layers
from data.heads.pieces import Picture, Piece, sheet
from data.heads.meridians import COLUMNS
from data.heads.strands import paint_mane
from data.heads.traits import Traits


def make_hair(
    rng: np.random.Generator, traits: Traits, vertices: Float[np.ndarray, "v 3"]
) -> tuple[list[Piece], list[Picture]]:
    """Surfaces and pictures of a person's hair; none of the bald."""
    if traits.cut in WITHOUT_MANE:
        return [], []
    cut, mane = cut_of(traits), grow(vertices, hairline(traits))
    pieces, pictures = [], []
    for points, box, cover in zip(layers(rng, mane, cut), (HAIR, HAIR_OUTER), (cut.cover, cut.outer), strict=True):
        rows = len(points)
        vertex = np.concatenate([mane.vertex, np.repeat(mane.vertex[-1:], rows - SKULL_ROWS, 0)])
        keep = np.ones((rows, COLUMNS), bool)
        keep[SKULL_ROWS:] = hanging(mane, cut) > 0.02
        material = "hair_strips" if cut.length else "hair"
        pieces.append(sheet(points, vertex, box, material, ring=True, keep=keep))
        pictures.append(Picture(box, *paint_mane(rng, mane, cut, traits, box, rows, cover)))
    return pieces, pictures
