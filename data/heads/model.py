"""Everything of one person that is drawn: triangles on the head's mesh, their materials, and a picture of their colours.

Hair, glasses and clothes are triangles too: each corner follows a vertex of the head's mesh, at a fixed offset from it, so
that they move with the skin. Colours are display-coded (sRGB), as painters and pictures have them; shading makes them linear.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from jaxtyping import Float, Int32, UInt8

Kind = Literal["skin", "eye", "teeth", "tongue", "lashes", "hair", "cloth", "frame", "glass"]

Colour = tuple[float, float, float]
"""RGB, display-coded, 0 to 1."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Material:
    """How a surface answers to light.

    kind: what is special about it. `eye`: white, iris and pupil are drawn by gaze, not taken from the atlas. `teeth`, `tongue`:
        the mouth's depth darkens them. `hair`, `lashes`: the highlight runs along strands. `glass`: only reflections are drawn.
    specular: reflectance at normal incidence; skin .028, water .02, cloth .01. The atlas' `shine` scales it.
    gloss: exponent of the highlight (Blinn's): 10 dull, 40 moist skin, 200 wet.
    wrap: share of light that reaches round the edge of the shadow, 0 hard to .5 wax.
    subsurface: colour of the light that does (linear RGB, 1 is all of it).
    cut: whether the atlas' alpha cuts holes into it; alphas between 0 and 255 are that share of opacity.
    two_sided: whether its back is seen.
    """

    kind: Kind
    specular: float
    gloss: float
    wrap: float = 0.0
    subsurface: Colour = (1.0, 1.0, 1.0)
    cut: bool = False
    two_sided: bool = False


MATERIALS: dict[str, Material] = {
    "skin": Material(kind="skin", specular=0.030, gloss=22.0, wrap=0.35, subsurface=(1.0, 0.45, 0.28)),
    "eye": Material(kind="eye", specular=0.04, gloss=300.0, wrap=0.4),
    "teeth": Material(kind="teeth", specular=0.04, gloss=60.0, wrap=0.4),
    "tongue": Material(kind="tongue", specular=0.03, gloss=40.0, wrap=0.3, subsurface=(1.0, 0.5, 0.4)),
    "lashes": Material(kind="lashes", specular=0.0, gloss=10.0, cut=True, two_sided=True),
    "hair": Material(kind="hair", specular=0.045, gloss=18.0, wrap=0.25, cut=True),
    "hair_strips": Material(kind="hair", specular=0.045, gloss=18.0, wrap=0.25, cut=True, two_sided=True),
    "cloth": Material(kind="cloth", specular=0.008, gloss=8.0, wrap=0.1, two_sided=True),
    "frame": Material(kind="frame", specular=0.08, gloss=60.0, two_sided=True),
    "glass": Material(kind="glass", specular=0.04, gloss=400.0, two_sided=True),
}
"""By name; `Model.material` holds the place in this order. `hair` is for closed layers, `hair_strips` for hanging ribbons."""

MATERIAL_INDEX: dict[str, int] = {name: index for index, name in enumerate(MATERIALS)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """One person as the rasteriser draws it, in mesh space (decimetres, y up, z towards the viewer).

    Corner c stands at express(…)[vertex_of[c]] + offset[c]. It is turned with the head as far as the mesh vertex is that it
    follows. Corners of one `group` stand at one place and share one smooth normal (they differ in uv only).
    """

    vertex_of: Int32[np.ndarray, "k"]  # mesh vertex that a corner follows
    offset: Float[np.ndarray, "k 3"]  # from it, decimetres
    group: Int32[np.ndarray, "k"]
    triangles: Int32[np.ndarray, "f 3"]  # corners, counter-clockwise as seen from outside
    uv: Float[np.ndarray, "k 2"]  # into the atlas: u to the right, v up; row 0 is v = 1
    material: UInt8[np.ndarray, "f"]  # place in MATERIALS
    albedo: UInt8[np.ndarray, "a a 3"]  # display-coded diffuse colour
    alpha: UInt8[np.ndarray, "a a"]  # opacity; read only where the material is `cut`
    shine: UInt8[np.ndarray, "a a"]  # specular reflectance over the material's, 128 leaves it
    iris: Colour
    sclera: Colour
